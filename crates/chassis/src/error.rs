//! Errors as the log shows them.

use std::fmt::Write;

/// An error and its causes in one line, separated by colons. A cause is left out where the message
/// of the error above it ends with it: libraries differ in whether a message includes its cause.
#[must_use]
pub fn chain(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            let _ = write!(line, ": {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_cause_is_appended_once() {
        let cause = || io::Error::other("connection refused");
        let separate = anyhow!(cause()).context("cannot connect to redis");
        assert_eq!(
            chain(&separate),
            "cannot connect to redis: connection refused"
        );
        let repeated = Err::<(), _>(cause()).context("cannot connect: connection refused");
        assert_eq!(
            chain(&repeated.unwrap_err()),
            "cannot connect: connection refused"
        );
    }
}
