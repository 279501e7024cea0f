//! The trace of a unit of work, through the services: the header `traceparent` of W3C Trace Context.

use std::fmt;

use axum::http::HeaderMap;
use rand::{
    TryRng,
    rngs::{SysError, SysRng},
};

use crate::otel;

tokio::task_local! {
    static CURRENT: Option<Trace>;
}

/// A position in a trace: the identifiers of the trace and of a span in it. Neither is 0. Displays as
/// the value of `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    pub(crate) id: u128,
    pub(crate) span: u64,
    /// Whether its spans are exported, where something exports any.
    pub(crate) sampled: bool,
}

impl Trace {
    /// The name of the header.
    pub const HEADER: &str = "traceparent";

    /// The start of a new trace.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers, which current systems have.
    pub fn start() -> Result<Self, SysError> {
        let random = || SysRng.try_next_u64().map(|number| number | 1);
        Ok(Self {
            id: u128::from(random()?) << 64 | u128::from(random()?),
            span: random()?,
            sampled: true,
        })
    }

    /// The trace of the current task, if it is within [`Trace::scope`].
    #[must_use]
    pub fn current() -> Option<Self> {
        otel::current().or_else(|| CURRENT.try_with(|trace| *trace).ok().flatten())
    }

    /// Runs `future` as a part of `trace`.
    pub fn scope<F: Future>(trace: Option<Self>, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(trace, future)
    }

    /// The trace of a request, if it has one that is valid.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get(Self::HEADER)?;
        Self::parse(header.to_str().ok()?)
    }

    /// The identifier of the trace.
    pub(crate) fn id(self) -> String {
        format!("{:032x}", self.id)
    }

    /// A version above 00 may append fields; ff is invalid.
    fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split('-');
        let version = hex(fields.next()?, 2)?;
        let id = hex(fields.next()?, 32)?;
        let span = hex(fields.next()?, 16)?;
        let flags = hex(fields.next()?, 2)?;
        let complete = version > 0 || fields.next().is_none();
        (version != 0xff && id != 0 && span != 0 && complete).then_some(Self {
            id,
            span: u64::try_from(span).ok()?,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, span, sampled } = self;
        write!(f, "00-{id:032x}-{span:016x}-{:02x}", u8::from(*sampled))
    }
}

/// A number of exactly so many digits, in lower case as the standard requires.
fn hex(digits: &str, number: usize) -> Option<u128> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == number && digits.bytes().all(is_digit))
        .then(|| u128::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_traceparent_is_adopted_and_a_malformed_one_is_ignored() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let valid = format!("00-{id}-b7ad6b7169203331-01");
        assert_eq!(
            Trace::parse(&valid).map(|trace| trace.to_string()),
            Some(valid)
        );
        for suffix in ["-00", "-ff"] {
            let trace = Trace::parse(&format!("00-{id}-b7ad6b7169203331{suffix}"));
            assert_eq!(trace.map(Trace::id).as_deref(), Some(id));
        }
        assert!(Trace::parse(&format!("01-{id}-b7ad6b7169203331-01-more")).is_some());
        for malformed in [
            "",
            "-",
            "---",
            "00",
            &format!("00-{id}"),
            &format!("00-{id}-b7ad6b7169203331"),
            &format!("00-{id}-b7ad6b7169203331-1"),
            &format!("00-{id}-b7ad6b7169203331-01-more"),
            &format!("ff-{id}-b7ad6b7169203331-01"),
            &format!("0-{id}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
            &format!("00-+{}-b7ad6b7169203331-01", &id[1..]),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{id}-0000000000000000-01"),
            &format!(" 00-{id}-b7ad6b7169203331-01"),
            &format!("00-{id}-b7ad6b716920333\u{e9}-01"),
        ] {
            assert_eq!(Trace::parse(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn each_trace_is_another_and_parses_to_itself() {
        let (one, other) = (Trace::start().unwrap(), Trace::start().unwrap());
        assert_ne!(one.id, other.id);
        assert_eq!(Trace::parse(&one.to_string()), Some(one));
    }
}
