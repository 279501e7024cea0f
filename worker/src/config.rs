use std::time::Duration;

use chassis::RedisUrl;
use clap::Parser;
use reqwest::Url;

use crate::services::{HASHER, REDIS, RNG};

/// The loop: random bytes from rng, their digest from hasher, a count in redis
#[derive(Debug, Clone, Parser)]
#[command(name = "worker")]
pub struct Config {
    /// The URL of rng
    #[arg(long, env, default_value = RNG, value_parser = url)]
    pub rng_url: String,

    /// The URL of hasher
    #[arg(long, env, default_value = HASHER, value_parser = url)]
    pub hasher_url: String,

    /// The URL of redis
    #[arg(long, env, default_value = REDIS, value_parser = RedisUrl, hide_env_values = true)]
    pub redis_url: redis::Client,

    /// The simulated work of a unit, besides rng and hasher, such as 250ms or 1s; 0 means none
    // Change the default, rebuild, watch the graph.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::delay)]
    pub delay: Duration,

    /// The port that serves /metrics; if unset, none does, so that several workers run on one host
    #[arg(long, env, value_parser = chassis::port)]
    pub metrics_port: Option<u16>,
}

/// Without a trailing slash.
fn url(value: &str) -> Result<String, &'static str> {
    let plain =
        |url: &Url| url.scheme() == "http" && url.query().is_none() && url.fragment().is_none();
    let url = Url::parse(value).ok().filter(plain);
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
        .ok_or(
            "it must be an http:// URL with no query, such as http://rng or http://localhost:8001",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_with_an_optional_port_and_path() {
        for (value, parsed) in [
            ("http://localhost:8001", "http://localhost:8001"),
            ("http://[::1]:8001/", "http://[::1]:8001"),
            ("http://proxy/rng/", "http://proxy/rng"),
        ] {
            assert_eq!(url(value).as_deref(), Ok(parsed), "{value}");
        }
        for value in [
            "rng",
            "https://rng",
            "http://",
            "rng:80",
            "http://rng/?n=32",
            "redis://rng",
        ] {
            assert!(url(value).is_err(), "{value}");
        }
    }
}
