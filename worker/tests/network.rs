//! worker between services that are not as they should be, over sockets.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
use memory_redis::{MemoryRedis, testing::TestRedis};
use redis::AsyncCommands;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::sleep,
};
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

/// What becomes of the second update of the counter on its way to redis.
#[derive(Clone, Copy)]
enum Fate {
    /// Redis carries it out, but the worker does not hear of it.
    AnswerIsLost,
    /// The connection breaks, and redis gets it when the worker's next try is through already.
    ComesLate,
}

/// A network between worker and redis on which this happens. Returns the URL of redis as the worker
/// sees it.
async fn between(store: &str, fate: Fate) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let redis = redis::Client::open(store).unwrap();
    let database = redis.get_connection_info().redis_settings().db();
    let address = redis.get_connection_info().addr().to_string();
    let (updates, third_is_through) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    tokio::spawn(async move {
        loop {
            let (worker, _) = listener.accept().await.unwrap();
            let redis = TcpStream::connect(&address).await.unwrap();
            let (updates, third_is_through) = (updates.clone(), third_is_through.clone());
            tokio::spawn(carry(worker, redis, fate, updates, third_is_through));
        }
    });
    format!("{url}/{database}")
}

async fn carry(
    mut worker: TcpStream,
    mut redis: TcpStream,
    fate: Fate,
    updates: Arc<AtomicUsize>,
    third_is_through: Arc<Notify>,
) {
    let (mut commands, mut answers) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            length = worker.read(&mut commands) => {
                let commands = &commands[..length.unwrap_or(0)];
                if commands.is_empty() {
                    return;
                }
                let is_update = commands.windows(4).any(|word| word == b"EXEC");
                if is_update && updates.fetch_add(1, Ordering::SeqCst) == 1 {
                    if let Fate::ComesLate = fate {
                        drop(worker);
                        third_is_through.notified().await;
                    }
                    redis.write_all(commands).await.unwrap();
                    let answer = answer_of_exec(&mut redis).await;
                    assert_eq!(answer == "*-1", matches!(fate, Fate::ComesLate), "{answer}");
                    return;
                }
                redis.write_all(commands).await.unwrap();
            }
            length = redis.read(&mut answers) => {
                let answers = &answers[..length.unwrap()];
                if answers.contains(&b'*') && updates.load(Ordering::SeqCst) == 3 {
                    third_is_through.notify_one();
                }
                worker.write_all(answers).await.unwrap();
            }
        }
    }
}

/// The first line of it: an array, or `*-1` if nothing was done.
async fn answer_of_exec(redis: &mut TcpStream) -> String {
    let mut lines = BufReader::new(redis).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if line.starts_with('*') {
            return line;
        }
    }
}

struct Worker {
    store: TestRedis,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    async fn start(rng: &str, hasher: &str) -> Self {
        let store = TestRedis::start().await;
        let redis = store.url();
        Self::start_with(rng, hasher, store, &redis)
    }

    fn start_with(rng: &str, hasher: &str, store: TestRedis, redis: &str) -> Self {
        let config = Config {
            rng: rng.to_owned(),
            hasher: hasher.to_owned(),
            redis: redis::Client::open(redis).unwrap(),
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
    let store = MemoryRedis::start().await.unwrap();
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
    let _new = MemoryRedis::start_on(port).await.unwrap();
    until(|| asked.asked().len() > before + 5).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let hashes: usize = redis.get("hashes").await.unwrap();
    assert!(hashes > 5, "{hashes}");
}

#[tokio::test]
async fn each_unit_counts_once_whatever_becomes_of_an_update() {
    for fate in [Fate::AnswerIsLost, Fate::ComesLate] {
        let (rng, _) = Answers::start(&[bytes]).await;
        let (hasher, asked) = Answers::start(&[digest]).await;
        let store = TestRedis::start().await;
        let redis = between(&store.url(), fate).await;
        let worker = Worker::start_with(&rng, &hasher, store, &redis);
        // The second update comes after a second, and is followed by a pause.
        sleep(Duration::from_millis(2500)).await;
        let before = asked.asked().len();
        until(|| asked.asked().len() > before + 5).await;
        let (hashes, _) = worker.end().await;
        assert_eq!(hashes, asked.asked().len());
    }
}

/// As a process, since the log is of the whole process, and so are signals.
#[cfg(unix)]
#[tokio::test]
async fn the_program_logs_as_the_workshop_shows_and_writes_its_count_when_term_ends_it() {
    use std::process::Stdio;
    use tokio::{process::Command, time::timeout};

    let down: Answer = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let coin: Answer = || DIGEST.replacen('1', "0", 1).into_response();
    let (rng, rng_asked) = Answers::start(&[down, bytes]).await;
    let (hasher, hasher_asked) = Answers::start(&[coin, coin, digest]).await;
    let store = TestRedis::start().await;
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
