//! worker's configuration under hostile values. A short run by default; a quarter of a million values
//! each:
//!
//!     PROPTEST_CASES=250000 cargo test --release -p worker --test hostile
#![allow(clippy::unwrap_used)]

use anyhow::{Result, ensure};
use hostile::{check, ensure_one_line, values};
use worker::Config;

const CASES: u32 = 1000;

/// URLs, and what is almost one.
const WORDS: &[&str] = &[
    "http://rng",
    "http://",
    "http:",
    "HTTP://hasher/",
    "https://rng",
    "redis://redis",
    "redis://",
    "rediss://redis",
    "unix:///redis",
    "redis+unix:///redis?db=1",
    "rng",
    "redis",
    "/0",
    "/-1",
    "?protocol=resp3",
    "?db=99999999999999999999",
    "#insecure",
];

fn read(name: &str, value: &str) -> Result<Config, String> {
    let env = |asked: &str| (asked == name).then(|| value.to_owned());
    Config::from_env(&env).map_err(|invalid| invalid.to_string())
}

#[test]
fn any_url_of_a_service_is_plain_http_or_refused_in_one_line() {
    check(CASES, &values(WORDS), |value| {
        is_plain_or_refused("RNG_URL", &value, |config| config.rng)?;
        is_plain_or_refused("HASHER_URL", &value, |config| config.hasher)
    });
}

fn is_plain_or_refused(name: &str, value: &str, url: fn(Config) -> String) -> Result<()> {
    let url = match read(name, value).map(url) {
        Ok(url) => url,
        Err(message) => return ensure_one_line(&message, name, value),
    };
    let odd = |c: char| c.is_control() || matches!(c, ' ' | '?' | '#' | '\\');
    let host = url.strip_prefix("http://").unwrap_or_default();
    let plain =
        !host.is_empty() && !host.starts_with('/') && !url.ends_with('/') && !url.contains(odd);
    // A path is appended to it, so it must parse to itself.
    let stable = read(name, &url).is_ok_and(|again| again.rng == url || again.hasher == url);
    ensure!(plain && stable, "{name}={value:?} becomes {url:?}");
    Ok(())
}

#[test]
fn any_url_of_redis_is_valid_or_refused_in_one_line() {
    check(CASES, &values(WORDS), |value| {
        match read("REDIS_URL", &value) {
            Ok(_) => Ok(()),
            Err(message) => ensure_one_line(&message, "REDIS_URL", &value),
        }
    });
}

#[test]
fn a_host_outside_ascii_is_refused_whatever_its_case() {
    for value in ["http://R\u{fc}", "http://R%c3%bc", "http://A%ff"] {
        let message = read("RNG_URL", value).unwrap_err();
        ensure_one_line(&message, "RNG_URL", value).unwrap();
    }
}
