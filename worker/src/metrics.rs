//! What worker measures: units, failures, and how long each step of a unit takes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use chassis::metrics::{Counter, Family, Gauge, Histogram, seconds_by};
use tokio::time::Instant;
use tracing::{Instrument, field::Empty, info_span};

use crate::services::Services;

/// A peer that has not answered for this long is away. The last in the queue of rng waits 26 s.
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
    rng: Peer,
    hasher: Peer,
    redis: Peer,
}

impl Metrics {
    pub(crate) fn register(metrics: &mut chassis::Metrics) -> Self {
        let step = "Time of each step of a unit, and of each call to redis";
        let step = metrics.register("worker_step_duration_seconds", step, seconds_by());
        let failures = "Failed calls to a peer";
        let failures = metrics.register("worker_failures", failures, Family::default());
        let peer = |name| Peer {
            name,
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
            rng: peer("rng"),
            hasher: peer("hasher"),
            redis: peer("redis"),
        }
    }

    /// Whether the last call to each peer succeeded, and recently.
    pub(crate) fn ready(&self) -> Result<()> {
        let peers = [&self.rng, &self.hasher, &self.redis].into_iter();
        let away: Vec<_> = peers
            .filter(|peer| !peer.answered_recently())
            .map(|peer| peer.name)
            .collect();
        let away = away.join(", ");
        ensure!(away.is_empty(), "no recent answer from {away}");
        Ok(())
    }
}

#[derive(Clone)]
struct Peer {
    name: &'static str,
    seconds: Histogram,
    failures: Counter,
    /// The time of its last answer, unless it has failed since.
    answered: Arc<Mutex<Option<Instant>>>,
}

impl Peer {
    /// Records a call, as metrics and as a span.
    async fn record<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let span = info_span!(
            "call",
            otel.name = self.name,
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

/// Services whose calls are measured.
pub(crate) struct Measured<S> {
    pub(crate) services: S,
    pub(crate) metrics: Metrics,
}

impl<S: Services> Services for Measured<S> {
    async fn get_random_bytes(&self) -> Result<[u8; 32]> {
        let call = self.services.get_random_bytes();
        self.metrics.rng.record(call).await
    }

    async fn hash_bytes(&self, data: [u8; 32]) -> Result<String> {
        let call = self.services.hash_bytes(data);
        self.metrics.hasher.record(call).await
    }

    async fn incrby_hashes(&mut self, units: u64, update: u64) -> Result<()> {
        let call = self.services.incrby_hashes(units, update);
        self.metrics.redis.record(call).await
    }

    async fn hset_wallet(&mut self, digest: &str, bytes: &[u8]) -> Result<bool> {
        let call = self.services.hset_wallet(digest, bytes);
        self.metrics.redis.record(call).await
    }
}
