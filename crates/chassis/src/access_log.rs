//! The access log: Common Log Format, followed by the response time in seconds:
//! `172.19.0.2 - - [23/Nov/2026:09:18:22 +0000] "POST / HTTP/1.1" 200 64 0.1011`.

use std::{fmt, net::SocketAddr, time::SystemTime};

use axum::{
    body::HttpBody,
    extract::{ConnectInfo, MatchedPath, Request},
    http::{Method, header},
    middleware::Next,
    response::Response,
};
use opentelemetry::trace::FutureExt;
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty, info, info_span};

use crate::{
    log::ACCESS,
    trace::{self, in_trace},
};

/// Logs each request when its response is ready, so the time includes rng's queue. What is logged
/// until then belongs to the trace of the client too.
pub(crate) async fn access_log(
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let trace = trace::client(request.headers());
    let response = async move {
        let span = info_span!(
            "request",
            otel.name = %SpanName(request.method(), route.as_ref()),
            otel.kind = "server",
            http.response.status_code = Empty,
            trace_id = Empty,
        );
        in_trace(respond(client, request, next))
            .instrument(span)
            .await
    };
    response.with_context(trace).await
}

async fn respond(client: SocketAddr, request: Request, next: Next) -> Response {
    let received = Instant::now();
    let time = common_log_time(SystemTime::now());
    // A quotation mark in the path would end the field.
    let target = request.uri().to_string().replace('"', "%22");
    let method = request.method().clone();
    let request_line = format!("{method} {target} {:?}", request.version());
    let path = request.uri().clone();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    Span::current().record("http.response.status_code", i64::from(status));
    let bytes = body_size(&response).filter(|_| method != Method::HEAD);
    let size = Size(bytes);
    let seconds = received.elapsed().as_secs_f64();
    // An IPv4 client of an IPv6 socket has a mapped address.
    let client = client.ip().to_canonical();
    info!(
        target: ACCESS,
        %method, %path, status, bytes, seconds, %client,
        "{client} - - [{time}] \"{request_line}\" {status} {size} {seconds:.4}"
    );
    response
}

/// `GET /{n}`, and only the method if no route matches.
struct SpanName<'a>(&'a Method, Option<&'a MatchedPath>);

impl fmt::Display for SpanName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(method, route) = self;
        match route {
            Some(route) => write!(f, "{method} {}", route.as_str()),
            None => method.fmt(f),
        }
    }
}

/// Content-Length first: a streamed body has no size hint.
fn body_size(response: &Response) -> Option<u64> {
    let header = response.headers().get(header::CONTENT_LENGTH);
    let content_length = header.and_then(|length| length.to_str().ok()?.parse().ok());
    content_length.or(response.body().size_hint().exact())
}

/// `23/Nov/2026:09:18:22 +0000`, rearranged from an HTTP date, `Mon, 23 Nov 2026 09:18:22 GMT`.
fn common_log_time(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    let (day, time) = date["Mon, ".len()..].split_at("23 Nov 2026".len());
    format!(
        "{}:{} +0000",
        day.replace(' ', "/"),
        time.trim_start().trim_end_matches(" GMT")
    )
}

/// The size of a body in bytes, written as `-` for none.
struct Size(Option<u64>);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes @ 1..) => bytes.fmt(f),
            Some(0) | None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_in_common_log_format() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_425_502);
        assert_eq!(common_log_time(time), "23/Nov/2026:09:18:22 +0000");
    }

    #[test]
    fn no_body_is_a_dash() {
        assert_eq!(Size(Some(64)).to_string(), "64");
        assert_eq!(Size(Some(0)).to_string(), "-");
        assert_eq!(Size(None).to_string(), "-");
    }
}
