//! worker over sockets, with stubs of rng and hasher and a faulty network to redis.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::CancellationToken;
use memory_redis::testing::TestRedis;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use subprocess::free_port;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use worker::Config;

/// A digest that is no coin.
const DIGEST: &str = "1f2e3d4c5b6a79880f1e2d3c4b5a69781f2e3d4c5b6a79880f1e2d3c4b5a6978";

/// A response of a stub.
type Respond = fn() -> Response;

/// A service that responds with each of these in turn, and then with the last one forever.
#[derive(Clone)]
struct Stub {
    url: String,
    responses: Arc<Mutex<Vec<Respond>>>,
    requests: Arc<Mutex<Vec<Received>>>,
}

/// A request that a stub received.
#[derive(Debug, Clone)]
struct Received {
    client_port: u16,
    line: String,
    content_type: Option<String>,
    traceparent: Option<String>,
    body: Bytes,
}

impl Stub {
    async fn start(responses: &[Respond]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            responses: Arc::new(Mutex::new(responses.iter().rev().copied().collect())),
            requests: Arc::default(),
        };
        let router = Router::new().fallback(respond).with_state(stub.clone());
        let metrics = chassis::Metrics::new("stub");
        let stop = CancellationToken::new();
        tokio::spawn(chassis::serve(listener, router, metrics, stop));
        stub
    }

    fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    async fn wait_for_requests(&self, number: usize) {
        for _ in 0..1000 {
            if self.requests().len() >= number {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("fewer than {number} requests within ten seconds");
    }

    /// The number of requests, once none has arrived for 300 ms.
    async fn wait_until_idle(&self) -> usize {
        for _ in 0..30 {
            let number = self.requests().len();
            sleep(Duration::from_millis(300)).await;
            if self.requests().len() == number {
                return number;
            }
        }
        panic!("requests still arrive after nine seconds");
    }
}

async fn respond(
    State(stub): State<Stub>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    let header = |name| {
        let value = headers.get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let (content_type, traceparent) = (header("content-type"), header("traceparent"));
    let body = to_bytes(request.into_body(), 1000).await.unwrap();
    stub.requests.lock().unwrap().push(Received {
        client_port: client.port(),
        line,
        content_type,
        traceparent,
        body,
    });
    let mut responses = stub.responses.lock().unwrap();
    if responses.len() > 1 {
        responses.pop().unwrap()()
    } else {
        responses[0]()
    }
}

fn bytes() -> Response {
    [7; 32].into_response()
}

fn digest() -> Response {
    DIGEST.into_response()
}

fn coin() -> Response {
    DIGEST.replacen('1', "0", 1).into_response()
}

/// What happens to the second update of the counter on its way to redis.
#[derive(Clone, Copy)]
enum Fault {
    /// Redis executes it, but the reply is lost, and the connection stays open.
    ReplyLost,
    /// The connection breaks, and redis receives it after the retry of the worker.
    Delayed,
}

/// A proxy between worker and redis with this fault. Returns the URL of redis for the worker.
async fn faulty_proxy(redis_url: &str, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let redis = redis::Client::open(redis_url).unwrap();
    let database = redis.get_connection_info().redis_settings().db();
    let address = redis.get_connection_info().addr().to_string();
    let (updates, third_executed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    tokio::spawn(async move {
        loop {
            let (worker, _) = listener.accept().await.unwrap();
            let redis = TcpStream::connect(&address).await.unwrap();
            let (updates, third_executed) = (updates.clone(), third_executed.clone());
            tokio::spawn(forward(worker, redis, fault, updates, third_executed));
        }
    });
    format!("{url}/{database}")
}

async fn forward(
    mut worker: TcpStream,
    mut redis: TcpStream,
    fault: Fault,
    updates: Arc<AtomicUsize>,
    third_executed: Arc<Notify>,
) {
    let (mut commands, mut replies) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            length = worker.read(&mut commands) => {
                let commands = &commands[..length.unwrap_or(0)];
                if commands.is_empty() {
                    return;
                }
                let is_update = commands.windows(4).any(|word| word == b"EVAL");
                if is_update && updates.fetch_add(1, Ordering::SeqCst) == 1 {
                    if let Fault::Delayed = fault {
                        worker.shutdown().await.unwrap();
                        third_executed.notified().await;
                    }
                    redis.write_all(commands).await.unwrap();
                    assert_ne!(redis.read(&mut replies).await.unwrap(), 0);
                    continue;
                }
                redis.write_all(commands).await.unwrap();
            }
            length = redis.read(&mut replies) => {
                worker.write_all(&replies[..length.unwrap()]).await.unwrap();
                if updates.load(Ordering::SeqCst) == 3 {
                    third_executed.notify_one();
                }
            }
        }
    }
}

struct Worker {
    redis: TestRedis,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    async fn start(rng: &Stub, hasher: &Stub) -> Self {
        let redis = TestRedis::start().await;
        let url = redis.url().to_owned();
        Self::start_with(rng, hasher, redis, &url)
    }

    fn start_with(rng: &Stub, hasher: &Stub, redis: TestRedis, redis_url: &str) -> Self {
        let stop = CancellationToken::new();
        let config = config(rng, hasher, redis_url);
        let running = tokio::spawn(worker::run(config, stop.clone()));
        Self {
            redis,
            stop,
            running,
        }
    }

    /// Stops the worker and returns the counter and the wallet.
    async fn stop(self) -> (usize, Vec<(String, Vec<u8>)>) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        let mut redis = connect(self.redis.url()).await;
        (
            hashes(&mut redis).await,
            redis.hgetall("wallet").await.unwrap(),
        )
    }
}

fn config(rng: &Stub, hasher: &Stub, redis_url: &str) -> Config {
    Config {
        rng_url: rng.url.clone(),
        hasher_url: hasher.url.clone(),
        redis_url: redis::Client::open(redis_url).unwrap(),
        delay: Duration::from_millis(1),
        metrics_port: None,
    }
}

async fn connect(redis_url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(redis_url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn hashes(redis: &mut MultiplexedConnection) -> usize {
    let hashes: Option<usize> = redis.get("hashes").await.unwrap();
    hashes.unwrap_or(0)
}

#[tokio::test]
async fn a_unit_is_two_requests_on_new_connections_in_a_trace_of_its_own() {
    let (rng, hasher) = (Stub::start(&[bytes]).await, Stub::start(&[digest]).await);
    let worker = Worker::start(&rng, &hasher).await;
    hasher.wait_for_requests(10).await;
    let (hashes, wallet) = worker.stop().await;
    assert_eq!(hashes, hasher.requests().len());
    assert_eq!(wallet, []);
    let (mut ports, mut traces) = (HashSet::new(), HashSet::new());
    for (to_rng, to_hasher) in rng.requests().into_iter().zip(hasher.requests()) {
        assert_eq!(to_rng.line, "GET /32");
        assert_eq!(to_hasher.line, "POST /");
        let content_type = to_hasher.content_type.unwrap();
        assert_eq!(content_type, "application/octet-stream");
        assert_eq!(to_hasher.body[..], [7; 32]);
        assert!(ports.insert(to_rng.client_port) && ports.insert(to_hasher.client_port));
        let trace = to_rng.traceparent.unwrap();
        assert_eq!(Some(&trace), to_hasher.traceparent.as_ref());
        assert_eq!(trace.len(), 55, "{trace}");
        assert!(traces.insert(trace[3..35].to_owned()));
    }
}

#[tokio::test]
async fn a_coin_goes_into_the_wallet_with_its_bytes() {
    let rng = Stub::start(&[bytes]).await;
    let hasher = Stub::start(&[coin, coin, digest]).await;
    let worker = Worker::start(&rng, &hasher).await;
    hasher.wait_for_requests(3).await;
    let (_, wallet) = worker.stop().await;
    assert_eq!(wallet, [(DIGEST.replacen('1', "0", 1), vec![7; 32])]);
}

/// What rng must not answer.
const NO_BYTES: [Respond; 8] = [
    || (StatusCode::INTERNAL_SERVER_ERROR, [7; 32]).into_response(),
    || (StatusCode::NOT_FOUND, [7; 32]).into_response(),
    || (StatusCode::SERVICE_UNAVAILABLE, [7; 32]).into_response(),
    // Redirects are not followed.
    || (StatusCode::FOUND, [("location", "/32")], [7; 32]).into_response(),
    || [7; 31].into_response(),
    || [7; 33].into_response(),
    || ().into_response(),
    || vec![7; 100_000_000].into_response(),
];

/// What hasher must not answer.
const NO_DIGEST: [Respond; 5] = [
    || (StatusCode::BAD_GATEWAY, DIGEST).into_response(),
    || DIGEST[1..].into_response(),
    || format!("{DIGEST}\n").into_response(),
    || "x".repeat(64).into_response(),
    || "é".repeat(32).into_response(),
];

#[tokio::test]
async fn a_status_other_than_2xx_or_an_unexpected_body_is_a_failure() {
    let (rng, hasher): (&[Respond], &[Respond]) = (&[bytes], &[digest]);
    let from_rng = NO_BYTES.map(|response| (vec![response, bytes], hasher.to_vec()));
    let from_hasher = NO_DIGEST.map(|response| (rng.to_vec(), vec![response, digest]));
    // The pause after each lasts half a second.
    let mut workers = JoinSet::new();
    for (n, (rng, hasher)) in from_rng.into_iter().chain(from_hasher).enumerate() {
        workers.spawn(async move {
            let (rng, hasher) = (Stub::start(&rng).await, Stub::start(&hasher).await);
            let worker = Worker::start(&rng, &hasher).await;
            hasher.wait_for_requests(4).await;
            let (hashes, _) = worker.stop().await;
            // One unit failed, and the shutdown may have cancelled one.
            let failed = rng.requests().len() - hashes;
            assert!((1..=2).contains(&failed), "{n}: {failed} failed");
        });
    }
    workers.join_all().await;
}

#[tokio::test]
async fn units_and_coins_wait_until_redis_accepts_them() {
    let check = async |key: &str, fault: &str| {
        let digests = [vec![digest as Respond; 100], vec![coin, digest]].concat();
        let (rng, hasher) = (Stub::start(&[bytes]).await, Stub::start(&digests).await);
        let worker = Worker::start(&rng, &hasher).await;
        let mut redis = connect(worker.redis.url()).await;
        hasher.wait_for_requests(1).await;
        let () = redis.set(key, fault).await.unwrap();
        // The update at the end of a second fails.
        let before = hasher.wait_until_idle().await;
        let () = redis.del(key).await.unwrap();
        hasher.wait_for_requests(before.max(100) + 6).await;
        let (hashes, wallet) = worker.stop().await;
        assert_eq!(hashes, hasher.requests().len(), "{key}");
        assert_eq!(wallet.len(), 1, "{key}");
    };
    tokio::join!(check("hashes", "a word"), check("wallet", "a string"));
}

#[tokio::test]
async fn each_unit_counts_once_whether_a_reply_is_lost_or_an_update_delayed() {
    let check = async |fault| {
        let (rng, hasher) = (Stub::start(&[bytes]).await, Stub::start(&[digest]).await);
        let redis = TestRedis::start().await;
        let url = faulty_proxy(redis.url(), fault).await;
        let worker = Worker::start_with(&rng, &hasher, redis, &url);
        // The second update comes after a second, and is followed by a pause.
        sleep(Duration::from_millis(2500)).await;
        hasher.wait_for_requests(hasher.requests().len() + 6).await;
        let (hashes, _) = worker.stop().await;
        assert_eq!(hashes, hasher.requests().len());
    };
    tokio::join!(check(Fault::ReplyLost), check(Fault::Delayed));
}

#[tokio::test]
async fn the_metrics_count_units_coins_pauses_and_failures_by_peer() {
    let unavailable: Respond = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let rng = Stub::start(&[unavailable, bytes]).await;
    let hasher = Stub::start(&[coin, digest, digest, digest, unavailable]).await;
    let redis = TestRedis::start().await;
    let port = free_port();
    let config = Config {
        metrics_port: Some(port),
        ..config(&rng, &hasher, redis.url())
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(worker::run(config, stop.clone()));
    hasher.wait_for_requests(5).await;
    let url = format!("http://127.0.0.1:{port}");
    let get = async |path| reqwest::get(format!("{url}{path}")).await.unwrap();
    // The last failure is counted just after its response.
    let mut reason = String::new();
    for _ in 0..1000 {
        reason = get("/readyz").await.text().await.unwrap();
        if reason != "ready\n" {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(reason, "not ready: no recent answer from hasher\n");
    let metrics = get("/metrics").await.text().await.unwrap();
    for sample in [
        "worker_units_total 4",
        "worker_coins_total 1",
        "worker_pauses_total 2",
        "worker_pending_units 4",
        "worker_failures_total{peer=\"rng\"} 1",
        "worker_failures_total{peer=\"hasher\"} 1",
        "worker_failures_total{peer=\"redis\"} 0",
        "worker_step_duration_seconds_count{step=\"work\"} 6",
        "worker_step_duration_seconds_count{step=\"rng\"} 6",
        "worker_step_duration_seconds_count{step=\"hasher\"} 5",
        "worker_step_duration_seconds_count{step=\"redis\"} 2",
    ] {
        assert!(
            metrics.contains(&format!("\n{sample}\n")),
            "no {sample} in {metrics}"
        );
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// As a process, since the log and the signals are those of a whole process.
#[cfg(unix)]
#[tokio::test]
async fn the_log_is_the_workshops_and_term_flushes_the_counter() {
    use subprocess::{Subprocess, command};

    let unavailable: Respond = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let rng = Stub::start(&[unavailable, bytes]).await;
    let hasher = Stub::start(&[coin, coin, digest]).await;
    let redis = TestRedis::start().await;
    let mut worker = Subprocess::spawn(command(env!("CARGO_BIN_EXE_worker")).envs([
        ("RNG_URL", rng.url.as_str()),
        ("HASHER_URL", hasher.url.as_str()),
        ("REDIS_URL", redis.url()),
        // The coins come within a second after the start, and so before the update, on a busy machine too.
        ("DELAY", "1ms"),
    ]));
    for expected in [
        "INFO 0 units of work done, updating hash counter".to_owned(),
        format!(
            "ERROR cannot get random bytes: {}/32 answers 500 Internal Server Error",
            rng.url
        ),
        "INFO Waiting 0.5s and restarting.".to_owned(),
        "INFO Coin found: 0f2e3d4c...".to_owned(),
        "INFO Coin found: 0f2e3d4c...".to_owned(),
        "INFO We already had that coin".to_owned(),
    ] {
        assert_eq!(worker.line().await, expected);
    }
    let update = worker.line().await;
    assert!(
        update.ends_with(" units of work done, updating hash counter"),
        "{update}"
    );
    worker.signal("TERM").await;
    assert_eq!(worker.exit_code().await, Some(0));
    let hashes = hashes(&mut connect(redis.url()).await).await;
    assert_eq!(hashes, hasher.requests().len());
    assert!(rng.requests().len() > hashes);
}

#[cfg(unix)]
#[tokio::test]
async fn without_redis_term_logs_the_number_of_lost_units() {
    use memory_redis::MemoryRedis;
    use subprocess::{Subprocess, command};

    let (rng, hasher) = (Stub::start(&[bytes]).await, Stub::start(&[digest]).await);
    let redis = MemoryRedis::start().await.unwrap();
    let mut worker = Subprocess::spawn(command(env!("CARGO_BIN_EXE_worker")).envs([
        ("RNG_URL", rng.url.as_str()),
        ("HASHER_URL", hasher.url.as_str()),
        ("REDIS_URL", &redis.url()),
        ("DELAY", "20ms"),
    ]));
    // Fewer than in a second: none is in the counter yet.
    hasher.wait_for_requests(3).await;
    drop(redis);
    worker.signal("TERM").await;
    let mut last = String::new();
    while let Some(line) = worker.next_line().await {
        last = line;
    }
    let units = hasher.requests().len();
    let lost = format!("ERROR {units} units of work are lost: ");
    assert!(last.starts_with(&lost), "{last}");
}
