//! hasher over a socket.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chassis::CancellationToken;
use reqwest::{Body, Client, Method, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

const MIB: usize = 1024 * 1024;

/// Starts hasher and returns its URL.
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

const TOO_LARGE: &str = "HTTP/1.1 413 Payload Too Large\r\n";

/// Sends the head of a `POST` with these headers.
async fn send_head(url: &str, headers: &str) -> TcpStream {
    let address = url.trim_start_matches("http://");
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: hasher\r\n{headers}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

/// Reads until hasher closes the connection.
async fn read(mut client: TcpStream) -> String {
    let mut response = String::new();
    let read = client.read_to_string(&mut response);
    let read = timeout(Duration::from_secs(10), read).await;
    read.expect("no response").unwrap();
    response
}

#[tokio::test]
async fn the_index_returns_the_hostname() {
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
async fn a_body_returns_its_sha_256_as_64_lower_case_digits_without_newline() {
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
async fn a_body_of_64_mib_is_hashed_and_one_byte_more_is_413() {
    let url = without_delay().await;
    let response = post(&url, vec![b'a'; 64 * MIB]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let digest = "fae972222d455a2eaee1661ad9625502ec3bfc5ec38b87a6eec5afd5107331b5";
    assert_eq!(response.text().await.unwrap(), digest);
    let response = post(&url, vec![b'a'; 64 * MIB + 1]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let limit = "the body is too large: the limit is 67108864 bytes\n";
    assert_eq!(response.text().await.unwrap(), limit);
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_its_413_up_to_twice_the_limit() {
    let url = without_delay().await;
    let mut client = send_head(&url, &format!("content-length: {}", 128 * MIB + 2)).await;
    let mib = vec![b'a'; MIB];
    for _ in 0..128 {
        client.write_all(&mib).await.unwrap();
    }
    // It drains the body, since a response now would be lost to a reset.
    let early = timeout(Duration::from_millis(200), client.readable()).await;
    assert!(early.is_err(), "a response before twice the limit");
    client.write_all(b"a").await.unwrap();
    assert!(read(client).await.starts_with(TOO_LARGE));
}

#[tokio::test]
async fn with_expect_100_continue_too_large_a_body_is_413_before_it_is_sent() {
    let url = without_delay().await;
    let head = |length| format!("expect: 100-continue\r\ncontent-length: {length}");
    let client = send_head(&url, &head(64 * MIB + 1)).await;
    assert!(read(client).await.starts_with(TOO_LARGE));
    let mut client = send_head(&url, &head(64 * MIB)).await;
    let mut head = [0; 25];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test]
async fn an_incomplete_body_returns_no_digest() {
    let url = without_delay().await;
    let mut client = send_head(&url, "content-length: 10").await;
    client.write_all(b"abc").await.unwrap();
    client.shutdown().await.unwrap();
    let response = read(client).await;
    assert!(!response.contains("200 OK"), "{response}");
}

#[tokio::test]
async fn other_paths_are_404_and_other_methods_405() {
    let url = without_delay().await;
    let response = post(&format!("{url}/sha512"), "abc").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("POST the data to hash to /")
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
async fn fifty_concurrent_requests_take_little_more_than_one() {
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
