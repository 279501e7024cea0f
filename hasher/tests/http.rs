//! hasher over a socket.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chassis::CancellationToken;
use reqwest::{Body, Client, Method, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const MIB: usize = 1024 * 1024;

/// Starts hasher without delay and returns its URL.
async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(hasher::run(listener, Duration::ZERO, stop));
    url
}

async fn post(url: &str, body: impl Into<Body>) -> Response {
    Client::new().post(url).body(body).send().await.unwrap()
}

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
async fn a_body_returns_its_sha_256_as_64_lower_case_digits_without_newline() {
    let url = start().await;
    // NIST's examples for SHA-256, and the empty message.
    for (body, kind, digest) in [
        (
            "",
            "text/plain",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "abc",
            "application/json",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "multipart/form-data",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        let request = Client::new().post(&url).header("content-type", kind);
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.text().await.unwrap(), digest);
    }
}

#[tokio::test]
async fn a_chunked_body_in_odd_pieces_returns_its_digest() {
    let mut client = send_head(&start().await, "transfer-encoding: chunked").await;
    for piece in ["2;a=b\r", "\na", "b\r\n1\r\nc", "\r\n0\r\n", "x: y\r\n\r\n"] {
        client.write_all(piece.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    let response = read(client).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(response.ends_with(digest), "{response}");
}

#[tokio::test]
async fn a_body_of_64_mib_is_hashed_and_one_byte_more_is_413() {
    let url = start().await;
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
async fn with_expect_100_continue_too_large_a_body_is_413_before_it_is_sent() {
    let url = start().await;
    let head = |length| format!("expect: 100-continue\r\ncontent-length: {length}");
    let response = read(send_head(&url, &head(64 * MIB + 1)).await).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    let mut client = send_head(&url, &head(64 * MIB)).await;
    let mut head = [0; 25];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test]
async fn an_incomplete_body_returns_no_digest() {
    let mut client = send_head(&start().await, "content-length: 10").await;
    client.write_all(b"abc").await.unwrap();
    client.shutdown().await.unwrap();
    let response = read(client).await;
    assert!(!response.contains("200 OK"), "{response}");
}

#[tokio::test]
async fn the_answer_to_any_other_request_says_what_to_ask_for() {
    let url = start().await;
    let hostname = gethostname::gethostname().into_string().unwrap();
    let index = format!("HASHER running on {hostname}\n");
    let not_allowed = "hasher answers POST, GET and HEAD";
    for (method, path, status, text) in [
        (Method::GET, "/", 200, &*index),
        (Method::HEAD, "/", 200, ""),
        (Method::POST, "/sha512", 404, "POST the data to hash to /"),
        (Method::PUT, "/", 405, not_allowed),
        (Method::DELETE, "/", 405, not_allowed),
    ] {
        let request = Client::new().request(method.clone(), format!("{url}{path}"));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        let answer = response.text().await.unwrap();
        assert!(answer.contains(text), "{method} {path}: {answer}");
    }
}
