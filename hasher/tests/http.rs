//! hasher as its clients meet it, over a socket.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chassis::CancellationToken;
use reqwest::{Body, Client, Method, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

const MIB: usize = 1024 * 1024;

/// Starts a hasher and returns where it is.
async fn start(delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(hasher::run(listener, delay, CancellationToken::new()));
    url
}

async fn without_delay() -> String {
    start(Duration::ZERO).await
}

async fn post(url: &str, body: impl Into<Body>) -> Response {
    Client::new().post(url).body(body).send().await.unwrap()
}

#[tokio::test]
async fn the_index_says_where_hasher_runs() {
    let url = without_delay().await;
    let response = reqwest::get(&url).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let hostname = gethostname::gethostname().into_string().unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        format!("HASHER running on {hostname}\n")
    );
    let response = Client::new().head(&url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn any_body_gives_its_sha_256_as_64_lower_case_digits_and_no_newline() {
    let url = without_delay().await;
    // NIST's examples for SHA-256, and the empty message.
    for (body, digest) in [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        let response = post(&url, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.text().await.unwrap(), digest);
    }
    for kind in [
        "application/octet-stream",
        "application/json",
        "multipart/form-data",
    ] {
        let request = Client::new()
            .post(&url)
            .header("content-type", kind)
            .body("abc");
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::OK,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_body_of_64_mib_is_hashed_and_one_byte_more_is_refused() {
    let url = without_delay().await;
    let response = post(&url, vec![b'a'; 64 * MIB]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap().len(), 64);
    // The client sends it all before it listens, and yet learns what is wrong.
    let response = post(&url, vec![b'a'; 64 * MIB + 1]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let limit = "the body is too large: the limit is 67108864 bytes\n";
    assert_eq!(response.text().await.unwrap(), limit);
}

#[tokio::test]
async fn a_client_that_asks_whether_it_may_send_too_much_is_refused_before_it_sends() {
    let url = without_delay().await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = "POST / HTTP/1.1\r\nhost: hasher\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_that_ends_early_gives_no_digest() {
    let url = without_delay().await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    let request = "POST / HTTP/1.1\r\nhost: hasher\r\ncontent-length: 10\r\n\r\nabc";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn other_paths_are_not_found_and_other_methods_not_allowed() {
    let url = without_delay().await;
    let response = post(&format!("{url}/sha512"), "abc").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("post what is to be hashed to /")
    );
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let response = Client::new().request(method, &url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
        assert!(
            response
                .text()
                .await
                .unwrap()
                .contains("hasher answers POST, GET and HEAD")
        );
    }
}

#[tokio::test]
async fn fifty_at_once_take_little_more_than_one() {
    let url = start(Duration::from_millis(200)).await;
    let clock = Instant::now();
    post(&url, "one").await;
    let one = clock.elapsed();
    let clock = Instant::now();
    let requests: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { post(&url, "fifty").await.status() }
            })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    // One after the other they would take fifty times as long.
    assert!(
        clock.elapsed() < one * 10,
        "{:?}, one alone {one:?}",
        clock.elapsed()
    );
}
