//! What is observed of a request: a span, metrics, and a line in Common Log Format, followed by the
//! response time in seconds: `172.19.0.2 - - [23/Nov/2026:09:18:22 +0000] "POST / HTTP/1.1" 200 64 0.1011`.

use std::{net::SocketAddr, time::SystemTime};

use axum::{
    body::HttpBody,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{Method, header},
    middleware::Next,
    response::Response,
};
use opentelemetry::trace::FutureExt;
use prometheus_client::encoding::EncodeLabelSet;
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty, info, info_span};

use crate::{
    Metrics,
    log::ACCESS,
    metrics::{Counted, Family, Gauge, Traced, traced_seconds_by},
    trace::{self, in_trace},
};

/// The methods that have a label of their own: a client may send any other.
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

/// The label of any other method, and of the route of a path that matches none.
const OTHER: &str = "other";

/// The metrics of all requests.
#[derive(Clone)]
pub(crate) struct Requests {
    seconds: Family<Labels, Traced>,
    in_flight: Gauge,
}

/// Bounded, whatever a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    method: &'static str,
    status: u16,
}

impl Requests {
    pub(crate) fn register(metrics: &mut Metrics) -> Self {
        let seconds = "Time until the response is ready";
        let in_flight = "Requests whose response is not ready";
        Self {
            seconds: metrics.register(
                "http_request_duration_seconds",
                seconds,
                traced_seconds_by(),
            ),
            in_flight: metrics.register("http_requests_in_flight", in_flight, Gauge::default()),
        }
    }
}

/// Observes each request until its response is ready, so the time includes rng's queue. What is
/// logged until then belongs to the trace of the client too.
pub(crate) async fn observe(
    State(requests): State<Requests>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let _in_flight = Counted::new(&requests.in_flight);
    let trace = trace::client(request.headers());
    let response = async {
        let route = route.as_ref();
        let span = info_span!(
            "request",
            otel.name = span_name(request.method(), route),
            otel.kind = "server",
            http.response.status_code = Empty,
            trace_id = Empty,
        );
        let response = respond(&requests, client, route, request, next);
        in_trace(response).instrument(span).await
    };
    response.with_context(trace).await
}

async fn respond(
    requests: &Requests,
    client: SocketAddr,
    route: Option<&MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let received = Instant::now();
    let time = common_log_time(SystemTime::now());
    // A quotation mark in the path would end the field.
    let target = request.uri().to_string().replace('"', "%22");
    let method = request.method().clone();
    let request_line = format!("{method} {target} {:?}", request.version());
    let path = request.uri().clone();
    let response = next.run(request).await;
    let seconds = received.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    Span::current().record("http.response.status_code", i64::from(status));
    let known = METHODS.into_iter().find(|known| method == *known);
    let labels = Labels {
        route: route.map_or(OTHER, MatchedPath::as_str).to_owned(),
        method: known.unwrap_or(OTHER),
        status,
    };
    let trace = trace::sampled().map(|id| [("trace_id", id)]);
    let timestamp = trace.as_ref().map(|_| SystemTime::now());
    let histogram = requests.seconds.get_or_create(&labels);
    histogram.observe(seconds, trace, timestamp);
    let bytes = body_size(&response).filter(|_| method != Method::HEAD);
    let size = bytes.filter(|&bytes| bytes > 0);
    let size = size.map_or("-".to_owned(), |bytes| bytes.to_string());
    // An IPv4 client of an IPv6 socket has a mapped address.
    let client = client.ip().to_canonical();
    info!(
        target: ACCESS,
        %method, %path, status, bytes, seconds, %client,
        "{client} - - [{time}] \"{request_line}\" {status} {size} {seconds:.4}"
    );
    response
}

/// `GET /{n}`, or only the method if no route matches.
fn span_name(method: &Method, route: Option<&MatchedPath>) -> String {
    route.map_or(method.to_string(), |route| {
        format!("{method} {}", route.as_str())
    })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_in_common_log_format() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_425_502);
        assert_eq!(common_log_time(time), "23/Nov/2026:09:18:22 +0000");
    }
}
