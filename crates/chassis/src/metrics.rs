//! Metrics in the Prometheus text format, at `/metrics`.

use std::{fmt, hash::Hash, sync::Arc};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabelSet, EncodeMetric,
        prometheus_text::{CONTENT_TYPE, encode},
    },
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Metric, Registry},
};
use tokio::time::Instant;

pub use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
};

use crate::{health, log};

/// Upper bounds in seconds. Multiples of the 100 ms of simulated work lie in the middle of a bucket,
/// so that an interpolated quantile is close to them.
const BUCKETS: [f64; 20] = [
    0.001, 0.005, 0.01, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.05, 1.55,
    2.55, 5.05, 10.05, 30.05, 60.05,
];

/// The methods that have a label of their own: a client may send any other.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The label of any other method, and of the route of a path that matches none.
const OTHER: &str = "other";

/// A histogram of seconds, from 1 ms to a minute.
#[must_use]
pub fn seconds() -> Histogram {
    Histogram::new(BUCKETS)
}

/// A family of such histograms, by labels.
#[must_use]
pub fn seconds_by<S: Clone + Hash + Eq>() -> Family<S, Histogram> {
    Family::new_with_constructor(seconds)
}

/// Counts in a gauge until it is dropped, also when its future is cancelled.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// Adds one to `gauge`.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The metrics of one service, not of the process, which may run several.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    routes: Router,
}

impl Metrics {
    /// The metrics that all services have: build information, the process, and its log.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        let mut registry = Registry::default();
        let labels = [("service", service), ("version", env!("CARGO_PKG_VERSION"))];
        registry.register(
            "dockercoins_build",
            "The service and its version",
            Info::new(labels),
        );
        registry.register_collector(Box::new(Process));
        Self {
            registry,
            routes: health::router(),
        }
    }

    /// Registers `metric` and returns it. The format appends `_total` to the name of a counter, and a
    /// full stop to `help`.
    pub fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }

    /// Adds `/readyz`: 200 if `check` succeeds, otherwise 503 with the reason.
    #[must_use]
    pub fn ready<F>(mut self, check: impl Fn() -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send,
    {
        let ready = async move || match check().await {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(error) => {
                let reason = format!("not ready: {error:#}\n");
                (StatusCode::SERVICE_UNAVAILABLE, reason)
            }
        };
        self.routes = self.routes.route("/readyz", get(ready));
        self
    }

    /// Measures the requests to `router`.
    pub(crate) fn measure(&mut self, router: Router) -> Router {
        let http = Http {
            seconds: self.register(
                "http_request_duration_seconds",
                "Time until the response is ready",
                seconds_by(),
            ),
            in_flight: self.register(
                "http_requests_in_flight",
                "Requests whose response is not ready",
                Gauge::default(),
            ),
        };
        router.layer(from_fn_with_state(http, measure))
    }

    /// `/metrics`, and the routes beside it.
    pub(crate) fn into_router(self) -> Router {
        let registry = Arc::new(self.registry);
        self.routes
            .route("/metrics", get(async move || exposition(&registry)))
    }
}

/// The process, measured at each scrape.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut write = |name, help, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        let dropped = u64::try_from(log::dropped_lines()).unwrap_or(u64::MAX);
        let help = "Lines of the log that were dropped.";
        write("log_lines_dropped", help, &ConstCounter::new(dropped))?;
        let process = metrics_process::collector::collect();
        if let Some(seconds) = process.cpu_seconds_total {
            let help = "User and system CPU time.";
            write("process_cpu_seconds", help, &ConstCounter::new(seconds))?;
        }
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Resident memory.",
                process.resident_memory_bytes,
            ),
            (
                "process_open_fds",
                "Open file descriptors.",
                process.open_fds,
            ),
            (
                "process_start_time_seconds",
                "Start of the process in Unix time.",
                process.start_time_seconds,
            ),
        ] {
            if let Some(value) = value {
                write(name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

fn exposition(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        // Writing to a string does not fail.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Clone)]
struct Http {
    seconds: Family<Labels, Histogram>,
    in_flight: Gauge,
}

/// Bounded, whatever a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    method: &'static str,
    status: u16,
}

async fn measure(
    State(http): State<Http>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let _in_flight = Counted::new(&http.in_flight);
    let received = Instant::now();
    let method = label(request.method());
    let response = next.run(request).await;
    let labels = Labels {
        route: route.as_ref().map_or(OTHER, MatchedPath::as_str).to_owned(),
        method,
        status: response.status().as_u16(),
    };
    http.seconds
        .get_or_create(&labels)
        .observe(received.elapsed().as_secs_f64());
    response
}

fn label(method: &Method) -> &'static str {
    let known = METHODS.into_iter().find(|known| method == known);
    known.unwrap_or(OTHER)
}
