//! rng under hostile input. A short run by default; a quarter of a million inputs each:
//!
//!     PROPTEST_CASES=4000 cargo test --release -p rng --test hostile
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use chassis::CancellationToken;
use hostile::{
    ServerUnderTest, ensure_one_line, get, literal, requests, send, send_then_half_close, targets,
};
use proptest::{prelude::*, sample::select};

const CASES: u32 = 10;

/// Numbers, and what is almost one.
const NAMES: &[&str] = &[
    "0",
    "1",
    "32",
    "0032",
    "1000",
    "1048577",
    "18446744073709551616",
    "-1",
    "1.5",
    "0x20",
    "1e3",
    "abc",
];

fn rng() -> ServerUnderTest {
    ServerUnderTest::start("/32", |listener| {
        rng::run(listener, Duration::ZERO, CancellationToken::new())
    })
}

#[test]
fn arbitrary_bytes_cause_no_panic_5xx_or_hang() {
    rng().survives(CASES, requests(targets(NAMES)), disconnect);
}

async fn disconnect(rng: SocketAddr, pieces: Vec<Vec<u8>>) -> Result<()> {
    send_then_half_close(rng, &pieces).await.map(drop)
}

#[test]
fn a_number_returns_that_many_bytes_and_no_other_path_any() {
    rng().survives(CASES, path(), request);
}

/// A path that is valid HTTP, often a number.
fn path() -> impl Strategy<Value = String> {
    let digits = prop_oneof![
        8 => (0_u32..3000).prop_map(|n| n.to_string()),
        1 => (0_u32..3_000_000).prop_map(|n| n.to_string()),
        1 => "0{0,30}[0-9]{1,4}",
        1 => "[0-9]{7,40}",
    ];
    let encoded = "(%3[0-9]|[0-9]){1,4}";
    let other = "([0-9a-zA-Z.~!$&'()*+,;=:@_-]|%[0-9a-f][0-9a-f]|/){0,6}";
    let query = select(&["", "", "", "?", "?n=32", "?/../%00"][..]);
    (prop_oneof![3 => digits, 1 => encoded, 3 => other], query)
        .prop_map(|(path, query)| format!("/{path}{query}"))
}

async fn request(rng: SocketAddr, path: String) -> Result<()> {
    let response = send(rng, &[get(&path)]).await?;
    let (status, body) = (response.status().as_u16(), response.body());
    let length = &response.headers()["content-length"];
    let expected = match meaning(&path) {
        Meaning::Index | Meaning::Health => status == 200 && !body.is_empty(),
        Meaning::Bytes(n) => status == 200 && body.len() == n,
        Meaning::TooMany | Meaning::Invalid => status == 400,
        Meaning::NotFound => status == 404,
    };
    ensure!(
        expected && length == &body.len().to_string(),
        "response to {path}: {status}, {length:?} bytes: {}",
        literal(body)
    );
    Ok(())
}

enum Meaning {
    Index,
    Health,
    Bytes(usize),
    TooMany,
    NotFound,
    /// Not UTF-8 when decoded.
    Invalid,
}

/// What the specification says of a path.
fn meaning(path: &str) -> Meaning {
    let path = path.split('?').next().unwrap_or_default();
    let segment = &path[1..];
    if segment.is_empty() {
        return Meaning::Index;
    }
    if ["healthz", "metrics"].contains(&segment) {
        return Meaning::Health;
    }
    if segment.contains('/') {
        return Meaning::NotFound;
    }
    let Ok(text) = String::from_utf8(percent_decode(segment)) else {
        return Meaning::Invalid;
    };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Meaning::NotFound;
    }
    let significant = text.trim_start_matches('0');
    match format!("0{significant}").parse::<usize>() {
        Ok(n) if n <= 1024 * 1024 => Meaning::Bytes(n),
        _ => Meaning::TooMany,
    }
}

fn percent_decode(segment: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        bytes.extend(u8::from_str_radix(&after[..2], 16));
        rest = &after[2..];
    }
    bytes.extend(rest.bytes());
    bytes
}

#[cfg(unix)]
#[test]
fn invalid_values_cannot_forge_a_second_line_on_stderr() {
    use std::{ffi::OsStr, net::TcpListener, os::unix::ffi::OsStrExt, process::Command};

    // It would exit here, rather than serve, if it accepted the value.
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (name, value) in [
        ("PORT", &b"80\nrng: all is well"[..]),
        ("PORT", b"\r\x1b[2Jrng: all is well"),
        ("PORT", b"80\xff"),
        ("DELAY", b"\"0\\"),
        ("DELAY", "\u{2028}\u{202e}\u{85}".as_bytes()),
        ("DEBUG", &[b'y'; 10_000]),
        ("RUST_LOG", b"info,rng=loud\n"),
        ("IGNORE_SIGTERM", b" y\n"),
        ("LOG_FORMAT", b"json\n"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_rng"))
            .env_clear()
            .env("PORT", &port)
            .env(name, OsStr::from_bytes(value))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={}", literal(value));
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        let line = text
            .strip_prefix("rng: ")
            .unwrap()
            .strip_suffix('\n')
            .unwrap();
        let value = String::from_utf8_lossy(value);
        ensure_one_line(line, name, &value).unwrap();
    }
}
