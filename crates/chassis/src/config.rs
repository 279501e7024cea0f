//! The configuration that all services share, and the values that several of them parse.

use std::time::Duration;

use clap::{ArgAction, Args, builder::BoolishValueParser};
use tracing_subscriber::filter::Targets;

/// The longest simulated work, and the longest delay of a shutdown.
const MAX_DELAY: Duration = Duration::from_secs(60);

// What every service reads, besides its own configuration. clap would print a doc comment as the
// description of the service.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// y logs debug events: worker logs each unit of work
    #[arg(long, env, default_value = "n", action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub(crate) debug: bool,

    /// What to log, such as warn or info,worker=debug; overrides DEBUG
    #[arg(long, env, value_parser = rust_log)]
    pub(crate) rust_log: Option<Targets>,

    /// text, or json: one JSON object per line
    #[arg(long, env, default_value = "text", value_parser = log_format)]
    pub(crate) log_format: LogFormat,

    /// y ignores SIGTERM, as the original does: the engine sends SIGKILL after ten seconds
    #[arg(long, env, default_value = "n", action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub(crate) ignore_sigterm: bool,

    /// How long to serve, but not be ready, after SIGTERM, such as 3s: a load balancer needs time to notice
    #[arg(long, env, default_value = "0", value_parser = delay)]
    pub(crate) shutdown_delay: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Parses a port to listen on: not 0.
///
/// # Errors
///
/// When it is no number from 1 to 65535.
pub fn port(value: &str) -> Result<u16, &'static str> {
    let port = value.parse().ok().filter(|&port| port != 0);
    port.ok_or("it must be a port number from 1 to 65535")
}

/// Parses a delay: at most a minute.
///
/// # Errors
///
/// When it is longer, or has no unit and is not 0.
pub fn delay(value: &str) -> Result<Duration, &'static str> {
    let delay = humantime::parse_duration(value).ok();
    let delay = delay.filter(|&delay| delay <= MAX_DELAY);
    delay.ok_or("it must be a time of at most one minute, such as 100ms, 2s or 0")
}

fn rust_log(value: &str) -> Result<Targets, &'static str> {
    let targets = value.parse().ok();
    targets
        .ok_or("it must be levels from off and error to debug and trace, such as info,worker=debug")
}

fn log_format(value: &str) -> Result<LogFormat, &'static str> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("it must be text or json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        assert_eq!(port("1"), Ok(1));
        assert_eq!(port("65535"), Ok(65535));
        for value in ["0", "65536", "-1", "80 ", "http"] {
            assert!(port(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_delay_is_a_time_with_a_unit_of_at_most_a_minute() {
        for (value, millis) in [("0", 0), ("100ms", 100), ("1s 500ms", 1500), ("1m", 60_000)] {
            assert_eq!(delay(value), Ok(Duration::from_millis(millis)), "{value:?}");
        }
        for value in ["100", "-1s", "ms", "61s", "9999999999999s", "soon"] {
            assert!(delay(value).is_err(), "{value:?}");
        }
    }
}
