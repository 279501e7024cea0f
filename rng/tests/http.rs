//! rng as its clients meet it, over a socket.
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

    async fn ask(&self, method: Method, path: &str) -> Response {
        let url = format!("http://{}{path}", self.address);
        Client::new().request(method, url).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).await
    }

    /// Connects and sends this.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// What came until the other side closed.
async fn read(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn the_index_says_where_rng_runs() {
    let response = Rng::without_delay().await.get("/").await;
    assert_eq!(response.status(), StatusCode::OK);
    let hostname = gethostname::gethostname().into_string().unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        format!("RNG running on {hostname}\n")
    );
}

#[tokio::test]
async fn a_number_gives_so_many_random_bytes() {
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
async fn what_is_no_number_is_not_found_and_the_body_says_what_to_ask_for() {
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
async fn more_than_a_mebibyte_is_refused_and_the_body_says_what_the_limit_is() {
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
async fn any_other_method_is_not_allowed() {
    let rng = Rng::without_delay().await;
    for path in ["/", "/32"] {
        for method in [
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ] {
            let response = rng.ask(method.clone(), path).await;
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
async fn head_answers_as_get_without_a_body() {
    let rng = Rng::without_delay().await;
    let text = read(rng.send("HEAD /32 HTTP/1.0\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\ncontent-length: 32\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn clients_that_send_or_read_slowly_hold_up_nobody() {
    let rng = Rng::without_delay().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(rng.send("GET /32 HTT").await);
        slow.push(rng.send("GET /1048576 HTTP/1.1\r\nhost: rng\r\n\r\n").await);
    }
    let answer = timeout(Duration::from_secs(5), rng.get("/32"))
        .await
        .expect("somebody holds up rng");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn one_that_hangs_up_while_it_waits_costs_no_turn() {
    let delay = Duration::from_millis(500);
    let rng = Rng::start(delay).await;
    // It holds the turn, so that the others have to wait.
    let first = rng.send("GET /1 HTTP/1.0\r\n\r\n").await;
    sleep(delay / 10).await;
    for requests in [1, 2] {
        let text = "GET /32 HTTP/1.1\r\nhost: rng\r\n\r\n".repeat(requests);
        for _ in 0..10 {
            drop(rng.send(&text).await);
        }
    }
    let start = Instant::now();
    assert_eq!(rng.get("/32").await.status(), StatusCode::OK);
    assert!(
        start.elapsed() < delay * 10,
        "those who hung up were served: {:?}",
        start.elapsed()
    );
    assert!(read(first).await.contains("200 OK"));
}

#[tokio::test]
async fn a_connection_serves_one_request() {
    let rng = Rng::without_delay().await;
    let text = "GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n".repeat(3);
    let answers = read(rng.send(&text).await).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1, "{answers}");
    assert!(answers.contains("\r\nconnection: close\r\n"), "{answers}");
}

#[tokio::test]
async fn once_stopped_it_serves_those_who_wait_at_once_and_ends() {
    let delay = Duration::from_secs(30);
    let rng = Rng::start(delay).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(rng.send("GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n").await);
    }
    let silent = TcpStream::connect(&rng.address).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    rng.stop.cancel();
    for stream in waiting {
        assert!(read(stream).await.contains("content-length: 3\r\n"));
    }
    rng.running.await.unwrap();
    assert!(start.elapsed() < delay / 10, "{:?}", start.elapsed());
    drop(silent);
}
