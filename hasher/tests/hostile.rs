//! hasher under attack. Short runs, as long as a test may take; a quarter of a million inputs each:
//!
//!     PROPTEST_CASES=4000 cargo test --release -p hasher --test hostile

use std::{fmt::Write, net::SocketAddr, time::Duration};

use chassis::CancellationToken;
use hostile::{Attacked, Head, Outcome, ask, attack, hostile, pieces, show, targets};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use sha2::{Digest, Sha256};

const CASES: u32 = 10;

fn hasher() -> Attacked {
    Attacked::start("/", |listener| {
        hasher::run(listener, Duration::ZERO, CancellationToken::new())
    })
}

#[test]
fn whatever_bytes_come_it_does_not_panic_fail_or_hang() {
    let targets = targets(&["", "", "", "", "sha256"]);
    hasher().survives(CASES, hostile(targets), attack_it);
}

async fn attack_it(hasher: SocketAddr, pieces: Vec<Vec<u8>>) -> Outcome {
    attack(hasher, &pieces).await.map(drop)
}

#[test]
fn any_body_in_any_pieces_gives_its_digest() {
    hasher().survives(CASES, post(), ask_it);
}

/// What is posted, and how.
#[derive(Debug, Clone)]
struct Post {
    body: Vec<u8>,
    request: Vec<Vec<u8>>,
}

fn post() -> impl Strategy<Value = Post> {
    let body = prop_oneof![
        6 => vec(any::<u8>(), 0..200),
        // What is longer than a packet or a buffer.
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
        let request = pieces(&[head.as_bytes(), &content].concat(), &cuts);
        Post { body, request }
    })
}

fn chunked(body: &[u8], chunks: &[(Index, &str)], trailers: &str) -> Vec<u8> {
    let cuts: Vec<_> = chunks.iter().map(|chunk| chunk.0).collect();
    let extensions = chunks.iter().map(|chunk| chunk.1).chain([""]);
    let mut bytes = Vec::new();
    for (data, extension) in pieces(body, &cuts).iter().zip(extensions) {
        // An empty chunk would be the end.
        if !data.is_empty() {
            bytes.extend(format!("{:X}{extension}\r\n", data.len()).bytes());
            bytes.extend(data);
            bytes.extend(b"\r\n");
        }
    }
    bytes.extend(format!("0\r\n{trailers}\r\n").bytes());
    bytes
}

async fn ask_it(hasher: SocketAddr, post: Post) -> Outcome {
    let answer = ask(hasher, &post.request).await?;
    let digest = Sha256::digest(&post.body)
        .iter()
        .fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        });
    match answer.heads[..] {
        [Head { status: 200, .. }] if answer.body() == digest.as_bytes() => Ok(()),
        _ => {
            let request = show(&post.request.concat());
            Err(format!("{request} is answered by {}", show(&answer.bytes)))
        }
    }
}
