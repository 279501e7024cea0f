//! worker between services that are not as they should be, over sockets.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::CancellationToken;
use redis::AsyncCommands;
use store::{Store, testing::TestStore};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};
use worker::Config;

/// A digest of 64 digits that is no coin.
const DIGEST: &str = "1f2e3d4c5b6a79880f1e2d3c4b5a69781f2e3d4c5b6a79880f1e2d3c4b5a6978";

type Answer = fn() -> Response;

/// A service that gives these answers in turn, and the last one for ever.
#[derive(Clone)]
struct Answers {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What the worker asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    port: u16,
    line: String,
    kind: Option<String>,
    body: Bytes,
}

impl Answers {
    /// Starts the service and returns its URL.
    async fn start(answers: &[Answer]) -> (String, Self) {
        let answers = answers.iter().rev().copied().collect();
        let this = Self {
            answers: Arc::new(Mutex::new(answers)),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(chassis::serve(listener, router, CancellationToken::new()));
        (url, this)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    State(this): State<Answers>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let kind = request
        .headers()
        .get("content-type")
        .map(|kind| kind.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(request.into_body(), 1000)
        .await
        .unwrap();
    this.asked.lock().unwrap().push(Asked {
        port: peer.port(),
        line,
        kind,
        body,
    });
    let mut answers = this.answers.lock().unwrap();
    if answers.len() > 1 {
        answers.pop().unwrap()()
    } else {
        answers[0]()
    }
}

fn bytes() -> Response {
    [7; 32].into_response()
}

fn digest() -> Response {
    DIGEST.into_response()
}

struct Worker {
    store: TestStore,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    async fn start(rng: &str, hasher: &str) -> Self {
        let store = TestStore::start().await;
        let config = Config {
            rng: rng.to_owned(),
            hasher: hasher.to_owned(),
            redis: redis::Client::open(store.url()).unwrap(),
            delay: Duration::from_millis(1),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(worker::run(config, stop.clone()));
        Self {
            store,
            stop,
            running,
        }
    }

    /// Ends the worker, and returns what it counted and its coins.
    async fn end(self) -> (usize, Vec<(String, Vec<u8>)>) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        let client = redis::Client::open(self.store.url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let hashes: Option<usize> = redis.get("hashes").await.unwrap();
        (hashes.unwrap_or(0), redis.hgetall("wallet").await.unwrap())
    }
}

async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about within ten seconds");
}

#[tokio::test]
async fn a_unit_asks_rng_for_32_bytes_and_has_hasher_hash_them() {
    let (rng, rng_asked) = Answers::start(&[bytes]).await;
    let (hasher, hasher_asked) = Answers::start(&[digest]).await;
    let worker = Worker::start(&rng, &hasher).await;
    until(|| hasher_asked.asked().len() >= 3).await;
    let (hashes, wallet) = worker.end().await;
    assert_eq!(rng_asked.asked()[0].line, "GET /32");
    let Asked {
        line, kind, body, ..
    } = &hasher_asked.asked()[0];
    assert_eq!(line, "POST /");
    assert_eq!(kind.as_deref(), Some("application/octet-stream"));
    assert_eq!(body[..], [7; 32]);
    assert_eq!(hashes, hasher_asked.asked().len());
    assert_eq!(wallet, []);
}

#[tokio::test]
async fn a_coin_goes_into_the_wallet_with_its_bytes() {
    let coin =
        || "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into_response();
    let (rng, _) = Answers::start(&[bytes]).await;
    let (hasher, asked) = Answers::start(&[coin, coin, digest]).await;
    let worker = Worker::start(&rng, &hasher).await;
    until(|| asked.asked().len() >= 3).await;
    let (_, wallet) = worker.end().await;
    let digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".to_owned();
    assert_eq!(wallet, [(digest, vec![7; 32])]);
}

#[tokio::test]
async fn every_request_is_a_new_connection() {
    let (rng, rng_asked) = Answers::start(&[bytes]).await;
    let (hasher, hasher_asked) = Answers::start(&[digest]).await;
    let worker = Worker::start(&rng, &hasher).await;
    until(|| hasher_asked.asked().len() >= 10).await;
    worker.end().await;
    for asked in [rng_asked.asked(), hasher_asked.asked()] {
        for two in asked.windows(2) {
            assert_ne!(two[0].port, two[1].port);
        }
    }
}

/// A worker whose rng or hasher is wrong at first counts nothing for that, and goes on.
async fn is_a_failure(rng: &[Answer], hasher: &[Answer]) {
    let (rng, rng_asked) = Answers::start(rng).await;
    let (hasher, hasher_asked) = Answers::start(hasher).await;
    let worker = Worker::start(&rng, &hasher).await;
    until(|| hasher_asked.asked().len() >= 4).await;
    let (hashes, _) = worker.end().await;
    let asked = rng_asked.asked().len();
    // One unit failed, and one may have been given up when the worker ended.
    assert!(
        hashes == asked - 1 || hashes == asked - 2,
        "{hashes} of {asked}"
    );
}

#[tokio::test]
async fn a_status_other_than_2xx_is_a_failure() {
    let statuses: [Answer; 4] = [
        || (StatusCode::INTERNAL_SERVER_ERROR, [7; 32]).into_response(),
        || (StatusCode::NOT_FOUND, [7; 32]).into_response(),
        // Redirects are not followed.
        || (StatusCode::FOUND, [("location", "/32")], [7; 32]).into_response(),
        || (StatusCode::SERVICE_UNAVAILABLE, [7; 32]).into_response(),
    ];
    for status in statuses {
        is_a_failure(&[status, bytes], &[digest]).await;
    }
    is_a_failure(
        &[bytes],
        &[|| (StatusCode::BAD_GATEWAY, DIGEST).into_response(), digest],
    )
    .await;
}

#[tokio::test]
async fn an_answer_of_rng_that_is_not_32_bytes_is_a_failure() {
    is_a_failure(&[|| [7; 31].into_response(), bytes], &[digest]).await;
    is_a_failure(&[|| [7; 33].into_response(), bytes], &[digest]).await;
    is_a_failure(&[|| ().into_response(), bytes], &[digest]).await;
    is_a_failure(&[|| vec![7; 100_000_000].into_response(), bytes], &[digest]).await;
}

#[tokio::test]
async fn an_answer_of_hasher_that_is_not_64_hexadecimal_digits_is_a_failure() {
    is_a_failure(&[bytes], &[|| DIGEST[1..].into_response(), digest]).await;
    is_a_failure(
        &[bytes],
        &[|| format!("{DIGEST}\n").into_response(), digest],
    )
    .await;
    is_a_failure(&[bytes], &[|| "x".repeat(64).into_response(), digest]).await;
    is_a_failure(&[bytes], &[|| "é".repeat(32).into_response(), digest]).await;
}

#[tokio::test]
async fn it_outlives_a_redis_that_goes_and_comes() {
    let (rng, _) = Answers::start(&[bytes]).await;
    let (hasher, asked) = Answers::start(&[digest]).await;
    let store = Store::start().await.unwrap();
    let port = store.address().port();
    let redis = redis::Client::open(store.url()).unwrap();
    let stop = CancellationToken::new();
    let config = Config {
        rng,
        hasher,
        redis: redis.clone(),
        delay: Duration::from_millis(20),
    };
    let running = tokio::spawn(worker::run(config, stop.clone()));
    until(|| asked.asked().len() > 5).await;
    drop(store);
    sleep(Duration::from_millis(1500)).await;
    let before = asked.asked().len();
    let _new = Store::start_on(port).await.unwrap();
    until(|| asked.asked().len() > before + 5).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let hashes: usize = redis.get("hashes").await.unwrap();
    assert!(hashes > 5, "{hashes}");
}

/// As a process, since the log is of the whole process, and so are signals.
#[cfg(unix)]
#[tokio::test]
async fn the_program_logs_as_the_workshop_shows_and_writes_its_count_when_term_ends_it() {
    use std::process::Stdio;
    use tokio::{
        io::{AsyncBufReadExt, BufReader},
        process::Command,
        time::timeout,
    };

    let down: Answer = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let coin: Answer = || DIGEST.replacen('1', "0", 1).into_response();
    let (rng, rng_asked) = Answers::start(&[down, bytes]).await;
    let (hasher, hasher_asked) = Answers::start(&[coin, coin, digest]).await;
    let store = TestStore::start().await;
    let mut program = Command::new(env!("CARGO_BIN_EXE_worker"))
        .env_clear()
        .envs([
            ("RNG_URL", &rng),
            ("HASHER_URL", &hasher),
            ("REDIS_URL", &store.url()),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut line = async || {
        timeout(Duration::from_secs(20), log.next_line())
            .await
            .unwrap()
    };

    for expected in [
        "INFO 0 units of work done, updating hash counter".to_owned(),
        format!("ERROR cannot get random bytes: {rng}/32 answers 500 Internal Server Error"),
        "INFO Waiting 0.5s and restarting.".to_owned(),
        "INFO Coin found: 0f2e3d4c...".to_owned(),
        "INFO Coin found: 0f2e3d4c...".to_owned(),
        "INFO We already had that coin".to_owned(),
    ] {
        assert_eq!(line().await.unwrap().unwrap(), expected);
    }
    let update = line().await.unwrap().unwrap();
    assert!(
        update.ends_with(" units of work done, updating hash counter"),
        "{update}"
    );

    let id = program.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert_eq!(program.wait().await.unwrap().code(), Some(0));
    let client = redis::Client::open(store.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let counted: usize = redis.get("hashes").await.unwrap();
    assert_eq!(counted, hasher_asked.asked().len());
    assert!(rng_asked.asked().len() > counted);
}
