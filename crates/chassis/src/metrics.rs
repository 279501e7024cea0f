//! Metrics at `/metrics`, in the Prometheus text format or as `OpenMetrics`.

use std::{fmt, hash::Hash, sync::Arc, time::UNIX_EPOCH};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeMetric,
        prometheus_text::{self, CONTENT_TYPE},
        text,
    },
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Metric, Registry},
};

pub use prometheus_client::metrics::{
    counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge,
    histogram::Histogram,
};

use crate::{log, signal::is_shutting_down};

/// Upper bounds in seconds. Multiples of the 100 ms of simulated work lie in the middle of a bucket,
/// so that an interpolated quantile is close to them.
const BUCKETS: [f64; 20] = [
    0.001, 0.005, 0.01, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.05, 1.55,
    2.55, 5.05, 10.05, 30.05, 60.05,
];

const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

/// Like [`seconds_by`], with the trace of the last observation of each bucket as an exemplar.
#[must_use]
pub(crate) fn traced_seconds_by<S: Clone + Hash + Eq>() -> Family<S, Traced> {
    Family::new_with_constructor(|| HistogramWithExemplars::new(BUCKETS.into_iter()))
}

/// A histogram whose exemplars have the label `trace_id`.
pub(crate) type Traced = HistogramWithExemplars<[(&'static str, String); 1]>;

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
    readiness: MethodRouter,
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
        registry.register(
            "process_start_time_seconds",
            "Start of the process in Unix time",
            ConstGauge::new(UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs())),
        );
        registry.register_collector(Box::new(Process));
        Self {
            registry,
            readiness: get(async || readiness(Ok(()))),
        }
    }

    /// Registers `metric` and returns it. The format appends `_total` to the name of a counter, and a
    /// full stop to `help`.
    pub fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }

    /// Lets `/readyz` also depend on `check`: its error is the reason for a 503.
    #[must_use]
    pub fn ready<F>(mut self, check: impl Fn() -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send,
    {
        self.readiness = get(async move || readiness(check().await));
        self
    }

    /// `/healthz`, `/readyz` and `/metrics`.
    pub(crate) fn into_router(self) -> Router {
        let registry = Arc::new(self.registry);
        Router::new()
            .route("/healthz", get("ok\n"))
            .route("/readyz", self.readiness)
            .route(
                "/metrics",
                get(async move |headers: HeaderMap| exposition(&registry, &headers)),
            )
    }
}

/// 503 with the reason, also once the process is shutting down.
fn readiness(check: anyhow::Result<()>) -> (StatusCode, String) {
    let reason = match check {
        _ if is_shutting_down() => "shutting down".to_owned(),
        Ok(()) => return (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => format!("{error:#}"),
    };
    let reason = format!("not ready: {reason}\n");
    (StatusCode::SERVICE_UNAVAILABLE, reason)
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
        #[cfg(target_os = "linux")]
        if let Some((cpu_seconds, memory, files)) = process() {
            let help = "User and system CPU time.";
            write("process_cpu_seconds", help, &ConstCounter::new(cpu_seconds))?;
            for (name, help, value) in [
                ("process_resident_memory_bytes", "Resident memory.", memory),
                ("process_open_fds", "Open file descriptors.", files),
            ] {
                write(name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

/// `OpenMetrics`, which has exemplars, for a client that accepts it.
fn exposition(registry: &Registry, headers: &HeaderMap) -> Response {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    let openmetrics = accepted.any(|types| {
        types
            .to_str()
            .is_ok_and(|types| types.contains(OPENMETRICS))
    });
    let mut body = String::new();
    let (content_type, result) = if openmetrics {
        (OPENMETRICS_CONTENT_TYPE, text::encode(&mut body, registry))
    } else {
        (CONTENT_TYPE, prometheus_text::encode(&mut body, registry))
    };
    match result {
        Ok(()) => ([(header::CONTENT_TYPE, content_type)], body).into_response(),
        // Writing to a string does not fail.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// CPU time in seconds, resident memory in bytes, open file descriptors.
#[cfg(target_os = "linux")]
fn process() -> Option<(f64, u64, u64)> {
    use nix::time::{ClockId, clock_gettime};

    let cpu_time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    let memory = memory_stats::memory_stats()?.physical_mem;
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count();
    let cpu_seconds = std::time::Duration::from(cpu_time).as_secs_f64();
    Some((
        cpu_seconds,
        u64::try_from(memory).ok()?,
        u64::try_from(files).ok()?,
    ))
}
