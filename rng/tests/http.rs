//! rng over a socket.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chassis::CancellationToken;
use reqwest::{Client, Method, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

struct Rng {
    address: String,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Rng {
    async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let running = tokio::spawn(rng::run(listener, delay, stop.clone()));
        Self {
            address,
            stop,
            running,
        }
    }

    async fn without_delay() -> Self {
        Self::start(Duration::ZERO).await
    }

    async fn request(&self, method: Method, path: &str) -> Response {
        let url = format!("http://{}{path}", self.address);
        Client::new().request(method, url).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).await
    }

    /// Connects and sends `text`.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// Reads until rng closes the connection.
async fn read(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn the_index_returns_the_hostname() {
    let response = Rng::without_delay().await.get("/").await;
    assert_eq!(response.status(), StatusCode::OK);
    let hostname = gethostname::gethostname().into_string().unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        format!("RNG running on {hostname}\n")
    );
}

#[tokio::test]
async fn a_number_returns_that_many_random_bytes() {
    let rng = Rng::without_delay().await;
    for n in [0, 1, 32, 1024 * 1024] {
        let response = rng.get(&format!("/{n}")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()["content-type"],
            "application/octet-stream"
        );
        assert_eq!(response.headers()["content-length"], n.to_string());
        assert_eq!(response.bytes().await.unwrap().len(), n);
    }
    assert_eq!(rng.get("/0032").await.bytes().await.unwrap().len(), 32);
    let (one, other) = (
        rng.get("/32").await.bytes().await,
        rng.get("/32").await.bytes().await,
    );
    assert_ne!(one.unwrap(), other.unwrap());
}

#[tokio::test]
async fn metrics_do_not_wait_in_the_queue_and_count_the_time_in_it() {
    let delay = Duration::from_secs(1);
    let rng = Rng::start(delay).await;
    let start = Instant::now();
    let bytes = async { rng.get("/32").await };
    let metrics = async {
        sleep(delay / 2).await;
        rng.get("/metrics").await.text().await.unwrap()
    };
    let (_, _, metrics) = tokio::join!(bytes, async { rng.get("/32").await }, metrics);
    assert!(metrics.contains("\nrng_queue_length 1\n"), "{metrics}");
    assert!(
        metrics.contains("\nrng_queue_wait_seconds_count 1\n"),
        "{metrics}"
    );
    assert!(start.elapsed() >= 2 * delay);
    let metrics = rng.get("/metrics").await.text().await.unwrap();
    // The first waits for nothing, the second for its turn.
    for bucket in ["le=\"0.001\"} 1", "le=\"0.95\"} 1", "le=\"1.05\"} 2"] {
        let bucket = format!("\nrng_queue_wait_seconds_bucket{{{bucket}\n");
        assert!(metrics.contains(&bucket), "no {bucket} in {metrics}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_number_is_404_with_a_hint() {
    let rng = Rng::without_delay().await;
    for path in [
        "/abc", "/-1", "/+1", "/1.5", "/32/", "/32/33", "/0x20", "/%20", "/%D9%A3", "//",
    ] {
        let response = rng.get(path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(
            response.text().await.unwrap().contains("ask for /32"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn more_than_1_mib_is_400_and_names_the_limit() {
    let rng = Rng::without_delay().await;
    for n in [
        "1048577",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        let response = rng.get(&format!("/{n}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{n}");
        let limit = format!("{n} bytes are too many: the limit is 1048576\n");
        assert_eq!(response.text().await.unwrap(), limit);
    }
}

#[tokio::test]
async fn other_methods_are_405() {
    let rng = Rng::without_delay().await;
    for path in ["/", "/32"] {
        for method in [
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ] {
            let response = rng.request(method.clone(), path).await;
            assert_eq!(
                response.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            assert_eq!(response.headers()["allow"], "GET,HEAD", "{method} {path}");
            assert!(
                response
                    .text()
                    .await
                    .unwrap()
                    .contains("rng answers GET and HEAD")
            );
        }
    }
}

#[tokio::test]
async fn head_responds_like_get_without_a_body() {
    let rng = Rng::without_delay().await;
    let text = read(rng.send("HEAD /32 HTTP/1.0\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\ncontent-length: 32\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn slow_senders_and_readers_do_not_block_the_queue() {
    let rng = Rng::without_delay().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(rng.send("GET /32 HTT").await);
        slow.push(rng.send("GET /1048576 HTTP/1.1\r\nhost: rng\r\n\r\n").await);
    }
    let response = timeout(Duration::from_secs(5), rng.get("/32"))
        .await
        .expect("a slow client blocks the queue");
    assert_eq!(response.status(), StatusCode::OK);
}

/// rng whose queue has a request in service and ten more whose clients have disconnected. Returns how
/// long the next request takes.
async fn after_disconnects(delay: Duration, requests: &str) -> Duration {
    let rng = Rng::start(delay).await;
    let first = rng.send("GET /1 HTTP/1.0\r\n\r\n").await;
    sleep(delay / 10).await;
    for _ in 0..10 {
        drop(rng.send(requests).await);
    }
    let start = Instant::now();
    assert_eq!(rng.get("/32").await.status(), StatusCode::OK);
    assert!(read(first).await.contains("200 OK"));
    start.elapsed()
}

#[tokio::test]
async fn a_client_that_disconnects_while_queued_costs_no_turn() {
    let delay = Duration::from_millis(500);
    let time = after_disconnects(delay, "GET /32 HTTP/1.1\r\nhost: rng\r\n\r\n").await;
    assert!(time < delay * 5, "they were served: {time:?}");
}

#[tokio::test]
async fn clients_that_pipeline_and_disconnect_do_not_block_the_queue() {
    let delay = Duration::from_millis(500);
    let requests = "GET / HTTP/1.1\r\nhost: rng\r\n\r\n".repeat(2);
    let time = after_disconnects(delay, &requests).await;
    assert!(time < delay * 5, "they block it: {time:?}");
}

#[tokio::test]
async fn a_connection_serves_one_request() {
    let rng = Rng::without_delay().await;
    let text = "GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n".repeat(3);
    let responses = read(rng.send(&text).await).await;
    assert_eq!(
        responses.matches("HTTP/1.1 200 OK").count(),
        1,
        "{responses}"
    );
    assert!(
        responses.contains("\r\nconnection: close\r\n"),
        "{responses}"
    );
}

#[tokio::test]
async fn shutdown_responds_to_queued_requests_at_once() {
    let delay = Duration::from_secs(30);
    let rng = Rng::start(delay).await;
    let mut queued = Vec::new();
    for _ in 0..5 {
        queued.push(rng.send("GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n").await);
    }
    let idle = TcpStream::connect(&rng.address).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    rng.stop.cancel();
    for stream in queued {
        assert!(read(stream).await.contains("content-length: 3\r\n"));
    }
    rng.running.await.unwrap();
    assert!(start.elapsed() < delay / 10, "{:?}", start.elapsed());
    drop(idle);
}
