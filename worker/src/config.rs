use std::time::Duration;

use chassis::{Env, Invalid, Program, Redis, Variable, variable};
use reqwest::Url;

use crate::services::{HASHER, REDIS, RNG};

/// The simulated work of a unit, besides that of rng and hasher. Change it, rebuild, watch the graph.
const DELAY: Variable<Duration> = variable::delay("100ms");

const RNG_URL: Variable<String> = url("RNG_URL", RNG, "the URL of rng");
const HASHER_URL: Variable<String> = url("HASHER_URL", HASHER, "the URL of hasher");
const REDIS_URL: Variable<redis::Client> = Redis::url(REDIS);

/// The image sets it. Without it, several workers run on one host.
const METRICS_PORT: Variable<u16> = Variable {
    name: "METRICS_PORT",
    default: "",
    about: "the port that serves /metrics; if unset, none does",
    ..variable::port()
};

/// Name, version and variables of worker.
pub const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
    variables: &[
        RNG_URL.help(),
        HASHER_URL.help(),
        REDIS_URL.help(),
        DELAY.help(),
        METRICS_PORT.help(),
    ],
};

/// The configuration of worker.
#[derive(Debug, Clone)]
pub struct Config {
    /// The URL of rng: `http://`, without a trailing slash.
    pub rng: String,
    /// The URL of hasher: `http://`, without a trailing slash.
    pub hasher: String,
    /// The client of redis.
    pub redis: redis::Client,
    /// The simulated work of a unit.
    pub delay: Duration,
    /// The port that serves the metrics, if any.
    pub metrics_port: Option<u16>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When a variable is invalid.
    pub fn from_env(env: Env) -> Result<Self, Invalid> {
        Ok(Self {
            rng: RNG_URL.read(env)?,
            hasher: HASHER_URL.read(env)?,
            redis: REDIS_URL.read(env)?,
            delay: DELAY.read(env)?,
            metrics_port: METRICS_PORT.read_if_set(env)?,
        })
    }
}

const fn url(name: &'static str, default: &'static str, about: &'static str) -> Variable<String> {
    Variable {
        name,
        default,
        about,
        expected: "an http:// URL with no query, such as http://rng or http://localhost:8001",
        parse: parse_url,
    }
}

fn parse_url(value: &str) -> Option<String> {
    let url = Url::parse(value).ok()?;
    let plain = url.scheme() == "http" && url.query().is_none() && url.fragment().is_none();
    plain.then(|| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_bare_service_names() {
        let config = Config::from_env(&|_| None).unwrap();
        assert_eq!(config.rng, "http://rng");
        assert_eq!(config.hasher, "http://hasher");
        assert_eq!(
            config.redis.get_connection_info().addr().to_string(),
            "redis:6379"
        );
        assert_eq!(config.delay, Duration::from_millis(100));
        assert_eq!(config.metrics_port, None);
    }

    #[test]
    fn a_url_is_http_with_an_optional_port_and_path() {
        for (value, url) in [
            ("http://localhost:8001", "http://localhost:8001"),
            ("http://[::1]:8001/", "http://[::1]:8001"),
            ("http://proxy/rng/", "http://proxy/rng"),
        ] {
            assert_eq!(parse_url(value).as_deref(), Some(url), "{value}");
        }
        for value in [
            "rng",
            "https://rng",
            "http://",
            "rng:80",
            "http://rng/?n=32",
            "redis://rng",
        ] {
            assert_eq!(parse_url(value), None, "{value}");
        }
    }

    #[test]
    fn an_invalid_variable_is_named() {
        for (name, value) in [
            ("RNG_URL", "rng"),
            ("HASHER_URL", "https://hasher"),
            ("REDIS_URL", "http://redis"),
            ("DELAY", "100"),
            ("METRICS_PORT", "0"),
        ] {
            let env = |asked: &str| (asked == name).then(|| value.to_owned());
            let error = Config::from_env(&env).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{name} is {value:?}, but it must be ")),
                "{error}"
            );
        }
    }
}
