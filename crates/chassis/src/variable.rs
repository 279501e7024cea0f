//! Configuration by environment variables: names, defaults, validation and messages.

use std::{fmt, time::Duration};

/// Looks up a variable: the environment of the process, or a closure in a test.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An environment variable that a program reads.
#[derive(Debug, Clone, Copy)]
pub struct Variable<T> {
    /// Its name in the environment.
    pub name: &'static str,
    /// The value if it is unset or empty.
    pub default: &'static str,
    /// The description in `--help`.
    pub about: &'static str,
    /// What a valid value is: the end of a sentence that begins "it must be".
    pub expected: &'static str,
    /// Parses the text; `None` if it is invalid.
    pub parse: fn(&str) -> Option<T>,
}

/// A [`Variable`] as `--help` lists it.
#[derive(Debug, Clone, Copy)]
pub struct Help {
    /// Its name in the environment.
    pub name: &'static str,
    /// The value if it is unset or empty.
    pub default: &'static str,
    /// The description.
    pub about: &'static str,
}

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<14} {}", self.name, self.about)?;
        if !self.default.is_empty() {
            write!(f, " [default: {}]", self.default)?;
        }
        writeln!(f)
    }
}

/// A variable whose value is invalid. Displays as one line that says what it must be.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    name: &'static str,
    value: String,
    expected: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            expected,
        } = self;
        write!(f, "{name} is {value:?}, but it must be {expected}")
    }
}

impl std::error::Error for Invalid {}

impl<T> Variable<T> {
    /// The value in `env`, or the default. Empty is unset, since Compose passes an unset `${X-}` as
    /// empty.
    ///
    /// # Errors
    ///
    /// When the value is invalid.
    pub fn read(&self, env: Env) -> Result<T, Invalid> {
        let value = self.value(env);
        self.parse(value.unwrap_or_else(|| self.default.to_owned()))
    }

    /// The value in `env`, or `None` if it is unset or empty, whatever the default.
    ///
    /// # Errors
    ///
    /// When the value is invalid.
    pub fn read_if_set(&self, env: Env) -> Result<Option<T>, Invalid> {
        self.value(env).map(|value| self.parse(value)).transpose()
    }

    fn value(&self, env: Env) -> Option<String> {
        env(self.name).filter(|value| !value.is_empty())
    }

    fn parse(&self, value: String) -> Result<T, Invalid> {
        (self.parse)(&value).ok_or(Invalid {
            name: self.name,
            value,
            expected: self.expected,
        })
    }

    /// The line of `--help`.
    #[must_use]
    pub const fn help(&self) -> Help {
        Help {
            name: self.name,
            default: self.default,
            about: self.about,
        }
    }
}

/// `PORT`, which a service listens on.
#[must_use]
pub const fn port() -> Variable<u16> {
    Variable {
        name: "PORT",
        default: "80",
        about: "the port to listen on",
        expected: "a port number from 1 to 65535",
        parse: |value| value.parse().ok().filter(|&port| port != 0),
    }
}

/// `DELAY`, the simulated work of a service: at most one minute.
#[must_use]
pub const fn delay(default: &'static str) -> Variable<Duration> {
    Variable {
        name: "DELAY",
        default,
        about: "the simulated work, such as 250ms or 1s; 0 means none",
        expected: "a time of at most one minute, such as 100ms, 2s or 0",
        parse: parse_delay,
    }
}

fn parse_delay(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    humantime::parse_duration(value)
        .ok()
        .filter(|&delay| delay <= Duration::from_secs(60))
}

/// A switch that is off by default; `y` turns it on.
#[must_use]
pub const fn switch(name: &'static str, about: &'static str) -> Variable<bool> {
    Variable {
        name,
        default: "n",
        about,
        expected: "y or n",
        parse: parse_switch,
    }
}

fn parse_switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "y" | "yes" | "1" | "true" | "on" => Some(true),
        "n" | "no" | "0" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use anyhow::{Result, bail};
    use hostile::{check, ensure_one_line, values};

    /// Kept short; `PROPTEST_CASES=250000` with `--release` runs more.
    const CASES: u32 = 500;

    /// Valid values, and parts of them.
    const WORDS: &[&str] = &[
        "80", "8080", "100ms", "1s", "60s", "1m", "ms", "us", "ns", "h", "days", "1.5s", "y", "n",
        "YES", "true", "Off",
    ];

    fn read<T>(variable: &Variable<T>, value: &str) -> Result<T, String> {
        let env = |name: &str| (name == variable.name).then(|| value.to_owned());
        variable.read(&env).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn unset_or_empty_is_the_default() {
        assert_eq!(port().read(&|_| None), Ok(80));
        assert_eq!(read(&port(), ""), Ok(80));
        assert_eq!(read(&delay("100ms"), ""), Ok(Duration::from_millis(100)));
    }

    #[test]
    fn an_invalid_value_is_reported_in_one_line_with_its_variable_and_what_it_must_be() {
        let message = "PORT is \"eighty\\n\", but it must be a port number from 1 to 65535";
        assert_eq!(read(&port(), "eighty\n"), Err(message.to_owned()));
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        assert_eq!(read(&port(), "1"), Ok(1));
        assert_eq!(read(&port(), "65535"), Ok(65535));
        for value in ["0", "65536", "-1", "80 ", "http", "8_0"] {
            assert!(read(&port(), value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_delay_is_a_duration_with_a_unit_of_at_most_a_minute() {
        let delay = delay("100ms");
        for (value, millis) in [
            ("0", 0),
            ("0s", 0),
            ("100ms", 100),
            ("2s", 2000),
            ("1s 500ms", 1500),
            ("1m", 60_000),
        ] {
            assert_eq!(
                read(&delay, value),
                Ok(Duration::from_millis(millis)),
                "{value:?}"
            );
        }
        for value in [
            "1",
            "100",
            "-1s",
            "ms",
            "61s",
            "2h",
            "9999999999999s",
            "soon",
            "0x1s",
        ] {
            assert!(read(&delay, value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_switch_accepts_the_usual_spellings() {
        let switch = switch("DEBUG", "logs more");
        for (value, on) in [
            ("y", true),
            ("YES", true),
            ("1", true),
            ("n", false),
            ("False", false),
            ("0", false),
        ] {
            assert_eq!(read(&switch, value), Ok(on), "{value:?}");
        }
        assert!(read(&switch, "maybe").is_err());
    }

    /// The value parses as `expected`, or is refused in one line if that is `None`.
    fn parses_as<T: PartialEq + fmt::Debug>(
        variable: &Variable<T>,
        value: &str,
        expected: Option<T>,
    ) -> Result<()> {
        match (read(variable, value), expected) {
            (Ok(parsed), Some(expected)) if parsed == expected => Ok(()),
            (Err(message), None) => ensure_one_line(&message, variable.name, value),
            (parsed, expected) => bail!("{value:?} is {parsed:?} and not {expected:?}"),
        }
    }

    #[test]
    fn any_other_value_of_a_port_is_refused_in_one_line() {
        check(CASES, &values(WORDS), |value| {
            let digits = value.strip_prefix('+').unwrap_or(&value);
            let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let port_number = || digits.trim_start_matches('0').parse().ok();
            let expected = if value.is_empty() {
                Some(80)
            } else {
                number.then(port_number).flatten()
            };
            parses_as(&port(), &value, expected)
        });
    }

    #[test]
    fn any_other_value_of_a_switch_is_refused_in_one_line() {
        check(CASES, &values(WORDS), |value| {
            let expected = match value.to_lowercase().as_str() {
                "" | "n" | "no" | "0" | "false" | "off" => Some(false),
                "y" | "yes" | "1" | "true" | "on" => Some(true),
                _ => None,
            };
            parses_as(&switch("DEBUG", "logs more"), &value, expected)
        });
    }

    const UNITS: &[(&str, u64)] = &[
        ("ns", 1),
        ("us", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
    ];

    #[test]
    fn any_delay_is_at_most_a_minute_or_is_refused_in_one_line() {
        let delay = delay("100ms");
        check(CASES, &values(WORDS), |value| {
            let read = read(&delay, &value).ok();
            parses_as(
                &delay,
                &value,
                read.filter(|&time| time <= Duration::from_secs(60)),
            )
        });
        let number = prop_oneof![0..200_u64, any::<u64>()];
        check(
            CASES,
            &(number, select(UNITS)),
            |(number, (unit, nanos))| {
                let time = number.checked_mul(nanos).map(Duration::from_nanos);
                let expected = time.filter(|&time| time <= Duration::from_secs(60));
                parses_as(&delay, &format!("{number}{unit}"), expected)
            },
        );
    }
}
