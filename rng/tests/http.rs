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
async fn a_number_returns_that_many_random_bytes() {
    let rng = Rng::without_delay().await;
    for (path, n) in [("/0", 0), ("/1", 1), ("/0032", 32), ("/1048576", 1_048_576)] {
        let response = rng.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/octet-stream");
        assert_eq!(headers["content-length"], n.to_string());
        assert_eq!(response.bytes().await.unwrap().len(), n);
    }
    let (one, other) = (rng.get("/32").await, rng.get("/32").await);
    assert_ne!(one.bytes().await.unwrap(), other.bytes().await.unwrap());
}

#[tokio::test]
async fn the_answer_to_any_other_request_says_what_to_ask_for() {
    let rng = Rng::without_delay().await;
    let hostname = gethostname::gethostname().into_string().unwrap();
    let index = format!("RNG running on {hostname}\n");
    let (not_found, not_allowed) = ("ask for /32", "rng answers GET and HEAD");
    let too_many = "9 bytes are too many: the limit is 1048576\n";
    for (method, path, status, text) in [
        (Method::GET, "/", 200, &*index),
        (Method::GET, "/abc", 404, not_found),
        (Method::GET, "/-1", 404, not_found),
        (Method::GET, "/+1", 404, not_found),
        (Method::GET, "/1.5", 404, not_found),
        (Method::GET, "/32/", 404, not_found),
        (Method::GET, "/32/33", 404, not_found),
        (Method::GET, "/%20", 404, not_found),
        // An Arabic digit.
        (Method::GET, "/%D9%A3", 404, not_found),
        (Method::GET, "/1048579", 400, too_many),
        (Method::GET, "/18446744073709551619", 400, too_many),
        (Method::POST, "/", 405, not_allowed),
        (Method::PUT, "/32", 405, not_allowed),
    ] {
        let response = rng.request(method.clone(), path).await;
        assert_eq!(response.status(), status, "{method} {path}");
        let answer = response.text().await.unwrap();
        assert!(answer.contains(text), "{method} {path}: {answer}");
    }
    let response = read(rng.send("HEAD /32 HTTP/1.0\r\n\r\n").await).await;
    assert!(response.starts_with("HTTP/1.0 200 OK\r\n"), "{response}");
    assert!(response.contains("\r\ncontent-length: 32\r\n") && response.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn metrics_do_not_wait_in_the_queue_and_count_the_time_in_it() {
    let delay = Duration::from_millis(500);
    let rng = Rng::start(delay).await;
    let metrics = async |after| {
        sleep(after).await;
        rng.get("/metrics").await.text().await.unwrap()
    };
    let (during, ..) = tokio::join!(metrics(delay / 2), rng.get("/32"), rng.get("/32"));
    let after = metrics(Duration::ZERO).await;
    for (metrics, sample) in [
        (&during, "length 1"),
        (&after, "length 0"),
        // The first waits for nothing, the second for its turn.
        (&after, "wait_seconds_bucket{le=\"0.001\"} 1"),
        (&after, "wait_seconds_bucket{le=\"0.45\"} 1"),
        (&after, "wait_seconds_count 2"),
    ] {
        let sample = format!("\nrng_queue_{sample}\n");
        assert!(metrics.contains(&sample), "no {sample} in {metrics}");
    }
}

#[tokio::test]
async fn slow_senders_and_readers_do_not_block_the_queue() {
    let rng = Rng::without_delay().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(rng.send("GET /32 HTT").await);
        slow.push(rng.send("GET /1048576 HTTP/1.1\r\nhost: rng\r\n\r\n").await);
    }
    let response = timeout(Duration::from_secs(5), rng.get("/32")).await;
    let response = response.expect("a slow client blocks the queue");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn clients_that_disconnect_while_queued_do_not_delay_the_next() {
    let delay = Duration::from_millis(500);
    // Those that pipeline are served, but do not hold the queue.
    for (path, times) in [("/32", 1), ("/", 2)] {
        let rng = Rng::start(delay).await;
        let first = rng.send("GET /1 HTTP/1.0\r\n\r\n").await;
        sleep(delay / 10).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: rng\r\n\r\n").repeat(times);
        for _ in 0..10 {
            drop(rng.send(&request).await);
        }
        let start = Instant::now();
        assert_eq!(rng.get("/32").await.status(), StatusCode::OK);
        assert!(start.elapsed() < delay * 5, "{:?}", start.elapsed());
        assert!(read(first).await.contains("200 OK"));
    }
}

#[tokio::test]
async fn shutdown_responds_to_queued_requests_at_once() {
    let delay = Duration::from_secs(30);
    let rng = Rng::start(delay).await;
    let mut queued = Vec::new();
    for _ in 0..5 {
        queued.push(rng.send("GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n").await);
    }
    let _idle = TcpStream::connect(&rng.address).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    rng.stop.cancel();
    for stream in queued {
        assert!(read(stream).await.contains("content-length: 3\r\n"));
    }
    rng.running.await.unwrap();
    assert!(start.elapsed() < delay / 10, "{:?}", start.elapsed());
}
