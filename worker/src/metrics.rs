//! What worker measures: units, failures, and how long each step of a unit takes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use chassis::metrics::{Counter, Family, Gauge, Histogram, seconds_by};
use tokio::time::Instant;
use tracing::{Instrument, field::Empty, info_span};

/// A dependency without a success for this long is not ready. The last in the queue of rng waits 26 s.
const RECENT: Duration = Duration::from_secs(30);

/// The metrics of a worker.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) units: Counter,
    pub(crate) coins: Counter,
    pub(crate) pauses: Counter,
    /// Units that are not in the counter in redis yet.
    pub(crate) pending_units: Gauge,
    /// The time of the simulated work.
    pub(crate) work: Histogram,
    pub(crate) rng: Peer,
    pub(crate) hasher: Peer,
    pub(crate) redis: Peer,
}

impl Metrics {
    pub(crate) fn register(metrics: &mut chassis::Metrics) -> Self {
        let step = "Time of each step of a unit, and of each call to redis";
        let step = metrics.register("worker_step_duration_seconds", step, seconds_by());
        let failures = "Failed calls to a peer";
        let failures = metrics.register("worker_failures", failures, Family::default());
        let peer = |name, span| Peer {
            name,
            span,
            seconds: step.get_or_create_owned(&[("step", name)]),
            failures: failures.get_or_create_owned(&[("peer", name)]),
            answered: Arc::default(),
        };
        let pending = "Units that are not in the counter in redis yet";
        Self {
            units: metrics.register("worker_units", "Units of work done", Counter::default()),
            coins: metrics.register("worker_coins", "Coins found", Counter::default()),
            pauses: metrics.register(
                "worker_pauses",
                "Pauses after a failure",
                Counter::default(),
            ),
            pending_units: metrics.register("worker_pending_units", pending, Gauge::default()),
            work: step.get_or_create_owned(&[("step", "work")]),
            rng: peer("rng", "GET /32"),
            hasher: peer("hasher", "POST /"),
            redis: peer("redis", "redis"),
        }
    }

    /// Whether the last call to each peer succeeded, and recently.
    pub(crate) fn ready(&self) -> Result<()> {
        let mut silent = vec![&self.rng, &self.hasher, &self.redis];
        silent.retain(|peer| !peer.answered_recently());
        let silent: Vec<_> = silent.iter().map(|peer| peer.name).collect();
        ensure!(
            silent.is_empty(),
            "no recent answer from {}",
            silent.join(", ")
        );
        Ok(())
    }
}

/// A service that worker calls.
#[derive(Clone)]
pub(crate) struct Peer {
    name: &'static str,
    /// The name of the span of a call.
    span: &'static str,
    seconds: Histogram,
    failures: Counter,
    /// The time of its last answer, unless a call has failed since.
    answered: Arc<Mutex<Option<Instant>>>,
}

impl Peer {
    /// Records a call, as metrics and as a span.
    pub(crate) async fn record<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let span = info_span!(
            "call",
            otel.name = self.span,
            otel.kind = "client",
            otel.status_code = Empty
        );
        let start = Instant::now();
        let result = call.instrument(span.clone()).await;
        self.seconds.observe(start.elapsed().as_secs_f64());
        if result.is_err() {
            self.failures.inc();
            span.record("otel.status_code", "error");
        }
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) =
            result.is_ok().then(Instant::now);
        result
    }

    fn answered_recently(&self) -> bool {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|answered| answered.elapsed() < RECENT)
    }
}
