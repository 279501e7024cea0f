//! rng under attack. Short runs, as long as a test may take; a quarter of a million inputs each:
//!
//!     PROPTEST_CASES=4000 cargo test --release -p rng --test hostile
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use chassis::CancellationToken;
use hostile::{Attacked, Outcome, ask, attack, get, hostile, is_one_line, show, targets};
use proptest::{prelude::*, sample::select};

const CASES: u32 = 10;

/// What rng takes for a number, and what it does not quite.
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

fn rng() -> Attacked {
    Attacked::start("/32", |listener| {
        rng::run(listener, Duration::ZERO, CancellationToken::new())
    })
}

#[test]
fn whatever_bytes_come_it_does_not_panic_fail_or_hang() {
    rng().survives(CASES, hostile(targets(NAMES)), attack_it);
}

async fn attack_it(rng: SocketAddr, pieces: Vec<Vec<u8>>) -> Outcome {
    attack(rng, &pieces).await.map(drop)
}

#[test]
fn a_number_gives_so_many_bytes_and_nothing_else_gives_any() {
    rng().survives(CASES, path(), ask_it);
}

/// A path that is valid in HTTP, with the number that it decodes to.
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

async fn ask_it(rng: SocketAddr, path: String) -> Outcome {
    let answer = ask(rng, &[get(&path)]).await?;
    let [head] = &answer.heads[..] else {
        return Err(format!("{path} is answered by {answer:?}"));
    };
    let length = head.header("content-length").and_then(|n| n.parse().ok());
    let got = answer.body();
    let expected = match meaning(&path) {
        Meaning::Index | Meaning::Health => head.status == 200 && !got.is_empty(),
        Meaning::Bytes(n) => head.status == 200 && got.len() == n,
        Meaning::TooMany | Meaning::NoText => head.status == 400,
        Meaning::Nothing => head.status == 404,
    };
    if expected && length == Some(got.len()) {
        Ok(())
    } else {
        Err(format!("{path} is answered by {head:?} and {}", show(got)))
    }
}

enum Meaning {
    Index,
    Health,
    Bytes(usize),
    TooMany,
    Nothing,
    /// Bytes that are no text once they are decoded.
    NoText,
}

/// What the specification says of a path.
fn meaning(path: &str) -> Meaning {
    let path = path.split('?').next().unwrap_or_default();
    let segment = &path[1..];
    if segment.is_empty() {
        return Meaning::Index;
    }
    if segment == "healthz" {
        return Meaning::Health;
    }
    if segment.contains('/') {
        return Meaning::Nothing;
    }
    let Ok(text) = String::from_utf8(decoded(segment)) else {
        return Meaning::NoText;
    };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Meaning::Nothing;
    }
    let significant = text.trim_start_matches('0');
    match format!("0{significant}").parse::<usize>() {
        Ok(n) if n <= 1024 * 1024 => Meaning::Bytes(n),
        _ => Meaning::TooMany,
    }
}

fn decoded(segment: &str) -> Vec<u8> {
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
fn no_value_forges_a_second_line_of_what_the_program_says() {
    use std::{ffi::OsStr, net::TcpListener, os::unix::ffi::OsStrExt, process::Command};

    // If it took the value, it would end here and not serve for ever.
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
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_rng"))
            .env_clear()
            .env("PORT", &port)
            .env(name, OsStr::from_bytes(value))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={}", show(value));
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        let line = text
            .strip_prefix("rng: ")
            .unwrap()
            .strip_suffix('\n')
            .unwrap();
        let value = String::from_utf8_lossy(value);
        is_one_line(line, name, &value).unwrap();
    }
}
