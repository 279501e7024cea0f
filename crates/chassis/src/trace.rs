//! The trace of a unit of work, through the services: the header `traceparent` of W3C Trace Context.
//!
//! The current trace is the one of the OpenTelemetry context, also where no spans are exported.

use axum::http::HeaderMap;
use opentelemetry::{
    Context,
    trace::{FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use rand::{TryRng, rngs::SysRng};
use tracing::{Span, field::display};

use crate::log::TRACE_ID;

/// The header that carries a trace.
pub const TRACEPARENT: &str = "traceparent";

/// Runs `future` in the current trace, or else in a new one, and records its identifier in the current
/// span.
pub async fn in_trace<F: Future>(future: F) -> F::Output {
    let mut context = Context::current();
    if !context.span().span_context().is_valid() {
        context = context.with_remote_span_context(new_trace());
    }
    let id = context.span().span_context().trace_id();
    Span::current().record(TRACE_ID, display(id));
    future.with_context(context).await
}

/// The value of the header `traceparent` for a request, within [`in_trace`].
#[must_use]
pub fn traceparent() -> Option<String> {
    let span = current();
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    span.is_valid()
        .then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// The identifier of the current trace, if it is sampled.
pub(crate) fn sampled() -> Option<String> {
    let span = current();
    span.is_sampled().then(|| span.trace_id().to_string())
}

fn current() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

/// The trace of the client of a request, if it has a valid one.
pub(crate) fn client(headers: &HeaderMap) -> Context {
    let header = headers
        .get(TRACEPARENT)
        .and_then(|header| header.to_str().ok());
    match header.and_then(parse) {
        Some(client) => Context::new().with_remote_span_context(client),
        None => Context::new(),
    }
}

/// Invalid without random numbers, which current systems have.
fn new_trace() -> SpanContext {
    let (mut id, mut span) = ([0; 16], [0; 8]);
    let _ = SysRng
        .try_fill_bytes(&mut id)
        .and_then(|()| SysRng.try_fill_bytes(&mut span));
    let (id, span) = (TraceId::from_bytes(id), SpanId::from_bytes(span));
    SpanContext::new(id, span, TraceFlags::SAMPLED, true, TraceState::NONE)
}

/// A version above 00 may append fields; ff is invalid.
fn parse(value: &str) -> Option<SpanContext> {
    let mut fields = value.split('-');
    let version = hex::<2>(fields.next()?)?;
    let id = TraceId::from_hex(hex::<32>(fields.next()?)?).ok()?;
    let span = SpanId::from_hex(hex::<16>(fields.next()?)?).ok()?;
    let flags = u8::from_str_radix(hex::<2>(fields.next()?)?, 16).ok()?;
    let complete = version != "00" || fields.next().is_none();
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let client = SpanContext::new(id, span, flags, true, TraceState::NONE);
    (version != "ff" && complete && client.is_valid()).then_some(client)
}

/// Exactly `N` digits, in lower case as the standard requires.
fn hex<const N: usize>(digits: &str) -> Option<&str> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == N && digits.bytes().all(is_digit)).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    /// The header that a service with this one sends.
    async fn forwarded(header: &str) -> Option<String> {
        let headers = [(TRACEPARENT.parse().unwrap(), header.parse().unwrap())];
        let client = client(&HeaderMap::from_iter(headers));
        in_trace(async { traceparent() }).with_context(client).await
    }

    #[tokio::test]
    async fn a_valid_traceparent_is_forwarded() {
        for flags in ["00", "01"] {
            let valid = format!("00-{ID}-b7ad6b7169203331-{flags}");
            assert_eq!(forwarded(&valid).await, Some(valid.clone()));
            let later = format!("01-{ID}-b7ad6b7169203331-{flags}-more");
            assert_eq!(forwarded(&later).await, Some(valid));
        }
    }

    #[tokio::test]
    async fn a_malformed_traceparent_is_replaced_by_a_new_trace() {
        for malformed in [
            "",
            "---",
            &format!("00-{ID}"),
            &format!("00-{ID}-b7ad6b7169203331-1"),
            &format!("00-{ID}-b7ad6b7169203331-01-more"),
            &format!("ff-{ID}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase()),
            &format!("00-+{}-b7ad6b7169203331-01", &ID[1..]),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{ID}-0000000000000000-01"),
            &format!("00-{ID}-b7ad6b716920333\u{e9}-01"),
        ] {
            let one = forwarded(malformed).await.unwrap();
            let other = forwarded(malformed).await.unwrap();
            assert!(one != other && !one.contains(ID), "{malformed:?}: {one}");
            assert_eq!(forwarded(&one).await, Some(one));
        }
    }
}
