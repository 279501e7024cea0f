//! The configuration is the environment: what a variable is called, what it may be, and what is
//! said if it is not.

use std::{fmt, time::Duration};

/// Looks a variable up; [`std::env::var`] in a program, a table in a test.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An environment variable that a program reads.
#[derive(Debug, Clone, Copy)]
pub struct Variable<T> {
    /// Its name in the environment.
    pub name: &'static str,
    /// The value that counts when it is not set, or empty.
    pub default: &'static str,
    /// What it is for, in a few words: `--help` prints them.
    pub about: &'static str,
    /// What a valid value looks like: the end of a sentence that begins "it must be".
    pub expected: &'static str,
    /// Turns the text into a value; `None` if it is not valid.
    pub parse: fn(&str) -> Option<T>,
}

/// A [`Variable`] as `--help` lists it.
#[derive(Debug, Clone, Copy)]
pub struct Help {
    /// Its name in the environment.
    pub name: &'static str,
    /// The value that counts when it is not set.
    pub default: &'static str,
    /// What it is for.
    pub about: &'static str,
}

/// A variable whose value is not valid. Displays as one line that says what to do.
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
    /// The value in `env`, or else the default.
    ///
    /// # Errors
    ///
    /// When the value does not parse. An empty one counts as not set: Compose hands on `${X-}` like
    /// that.
    pub fn read(&self, env: Env) -> Result<T, Invalid> {
        let value = env(self.name).filter(|value| !value.is_empty());
        let value = value.unwrap_or_else(|| self.default.to_owned());
        (self.parse)(&value).ok_or(Invalid {
            name: self.name,
            value,
            expected: self.expected,
        })
    }

    /// What `--help` says of it.
    #[must_use]
    pub const fn help(&self) -> Help {
        Help {
            name: self.name,
            default: self.default,
            about: self.about,
        }
    }
}

/// The port that a service listens on.
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

/// The simulated work: how long a service sleeps so that a class has something to measure.
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

/// What is off unless it is turned on, by `y`.
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
    use hostile::{Outcome, hold, is_one_line, values};

    /// A quarter of a million, with the build of a release: `PROPTEST_CASES=250000`.
    const CASES: u32 = 500;

    /// What comes near a port, a delay or a switch.
    const WORDS: &[&str] = &[
        "80", "8080", "100ms", "1s", "60s", "1m", "ms", "us", "ns", "h", "days", "1.5s", "y", "n",
        "YES", "true", "Off",
    ];

    fn read<T>(variable: &Variable<T>, value: &str) -> Result<T, String> {
        let env = |name: &str| (name == variable.name).then(|| value.to_owned());
        variable.read(&env).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn what_is_not_set_or_empty_has_the_default() {
        assert_eq!(port().read(&|_| None), Ok(80));
        assert_eq!(read(&port(), ""), Ok(80));
        assert_eq!(read(&delay("100ms"), ""), Ok(Duration::from_millis(100)));
    }

    #[test]
    fn an_invalid_value_is_named_with_its_variable_and_the_way_out_in_one_line() {
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
    fn a_delay_is_a_time_with_its_unit_up_to_a_minute() {
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
    fn a_switch_takes_what_people_write() {
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

    /// Whatever the value is, it means what `meaning` says, or is refused in one line.
    fn means<T: PartialEq + fmt::Debug>(
        variable: &Variable<T>,
        value: &str,
        meaning: Option<T>,
    ) -> Outcome {
        match (read(variable, value), meaning) {
            (Ok(read), Some(meaning)) if read == meaning => Ok(()),
            (Err(message), None) => is_one_line(&message, variable.name, value),
            (read, meaning) => Err(format!("{value:?} is {read:?} and not {meaning:?}")),
        }
    }

    #[test]
    fn any_other_value_of_a_port_is_refused_in_one_line() {
        hold(CASES, &values(WORDS), |value| {
            let digits = value.strip_prefix('+').unwrap_or(&value);
            let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let port_number = || digits.trim_start_matches('0').parse().ok();
            let meaning = if value.is_empty() {
                Some(80)
            } else {
                number.then(port_number).flatten()
            };
            means(&port(), &value, meaning)
        });
    }

    #[test]
    fn any_other_value_of_a_switch_is_refused_in_one_line() {
        hold(CASES, &values(WORDS), |value| {
            let meaning = match value.to_lowercase().as_str() {
                "" | "n" | "no" | "0" | "false" | "off" => Some(false),
                "y" | "yes" | "1" | "true" | "on" => Some(true),
                _ => None,
            };
            means(&switch("DEBUG", "logs more"), &value, meaning)
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
        hold(CASES, &values(WORDS), |value| {
            let read = read(&delay, &value).ok();
            means(
                &delay,
                &value,
                read.filter(|&time| time <= Duration::from_secs(60)),
            )
        });
        let number = prop_oneof![0..200_u64, any::<u64>()];
        hold(
            CASES,
            &(number, select(UNITS)),
            |(number, (unit, nanos))| {
                let time = number.checked_mul(nanos).map(Duration::from_nanos);
                let meaning = time.filter(|&time| time <= Duration::from_secs(60));
                means(&delay, &format!("{number}{unit}"), meaning)
            },
        );
    }
}
