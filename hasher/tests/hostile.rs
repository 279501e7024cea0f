//! hasher under hostile input. A short run by default; a quarter of a million inputs each:
//!
//!     PROPTEST_CASES=4000 cargo test --release -p hasher --test hostile

use std::{fmt::Write, net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use chassis::CancellationToken;
use hostile::{ServerUnderTest, requests, send, send_then_half_close, split, targets};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use sha2::{Digest, Sha256};

const CASES: u32 = 10;

fn hasher() -> ServerUnderTest {
    ServerUnderTest::start("/", |listener| {
        hasher::run(listener, Duration::ZERO, CancellationToken::new())
    })
}

#[test]
fn arbitrary_bytes_cause_no_panic_5xx_or_hang() {
    let targets = targets(&["", "", "", "", "sha256"]);
    hasher().survives(CASES, requests(targets), disconnect);
}

async fn disconnect(hasher: SocketAddr, pieces: Vec<Vec<u8>>) -> Result<()> {
    send_then_half_close(hasher, &pieces).await.map(drop)
}

#[test]
fn any_body_in_any_pieces_returns_its_digest() {
    hasher().survives(CASES, post(), request);
}

/// A body, and a request in pieces that posts it.
#[derive(Debug, Clone)]
struct Post {
    body: Vec<u8>,
    request: Vec<Vec<u8>>,
}

fn post() -> impl Strategy<Value = Post> {
    let body = prop_oneof![
        6 => vec(any::<u8>(), 0..200),
        // Longer than a packet or a buffer.
        1 => (vec(any::<u8>(), 1..50), 0_usize..4000).prop_map(|(part, times)| part.repeat(times)),
    ];
    let chunk = (any::<Index>(), select(&["", ";a=b", ";a=\"b\""][..]));
    let chunks = proptest::option::of((vec(chunk, 0..6), select(&["", "a: b\r\n"][..])));
    (body, chunks, vec(any::<Index>(), 0..5)).prop_map(|(body, chunks, cuts)| {
        let (framing, content) = match chunks {
            None => (format!("content-length: {}", body.len()), body.clone()),
            Some((chunks, trailers)) => (
                "transfer-encoding: chunked".to_owned(),
                chunked(&body, &chunks, trailers),
            ),
        };
        let head =
            format!("POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{framing}\r\n\r\n");
        let request = split(&[head.as_bytes(), &content].concat(), &cuts);
        Post { body, request }
    })
}

fn chunked(body: &[u8], chunks: &[(Index, &str)], trailers: &str) -> Vec<u8> {
    let cuts: Vec<_> = chunks.iter().map(|chunk| chunk.0).collect();
    let extensions = chunks.iter().map(|chunk| chunk.1).chain([""]);
    let mut bytes = Vec::new();
    for (data, extension) in split(body, &cuts).iter().zip(extensions) {
        // An empty chunk would end the body.
        if !data.is_empty() {
            bytes.extend(format!("{:X}{extension}\r\n", data.len()).bytes());
            bytes.extend(data);
            bytes.extend(b"\r\n");
        }
    }
    bytes.extend(format!("0\r\n{trailers}\r\n").bytes());
    bytes
}

async fn request(hasher: SocketAddr, post: Post) -> Result<()> {
    let response = send(hasher, &post.request).await?;
    let digest = Sha256::digest(&post.body)
        .iter()
        .fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        });
    ensure!(
        response.status() == 200 && response.body() == digest.as_bytes(),
        "response to {post:?}: {response:?}"
    );
    Ok(())
}
