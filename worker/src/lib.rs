//! worker: the loop. Gets random bytes from rng, their digest from hasher, and counts in redis.

mod config;
mod metrics;
mod services;

use std::{future, time::Duration};

use anyhow::Result;
use chassis::{CancellationToken, SimulatedWork, in_trace};
use tokio::{
    select,
    time::{Instant, sleep, timeout},
};
use tracing::{Instrument, debug, error, field::Empty, info, info_span};

pub use config::Config;
use metrics::Metrics;
use services::{RemoteServices, Services};

/// The counter is updated between two units, once this has passed since the last update, and not by
/// a timer: that is why the counter, polled once a second, moves by 4, by 4, by 4, by 0.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a failure. It doubles with each consecutive failure.
const MIN_PAUSE: Duration = Duration::from_millis(500);

/// The upper bound of that pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Graceful-shutdown timeout for the current unit.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(300);

/// Timeout for the last update of the counter.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Works until `stop` is cancelled. A failure is logged and retried after a pause.
///
/// # Errors
///
/// When no HTTP client can be created, or the port of the metrics is taken or privileged.
pub async fn run(config: Config, stop: CancellationToken) -> Result<()> {
    let mut registry = chassis::Metrics::new("worker");
    let metrics = Metrics::register(&mut registry);
    if let Some(port) = config.metrics_port {
        let listener = chassis::listen(port, "METRICS_PORT")?;
        let ready = metrics.clone();
        let registry = registry.ready(move || future::ready(ready.ready()));
        let serve = chassis::serve_metrics(listener, registry, stop.clone());
        tokio::spawn(serve.in_current_span());
    }
    let delay = config.delay;
    let services = RemoteServices::new(config)?;
    let worker = Worker::new(services, metrics, delay, stop);
    worker.run_until_stopped().await;
    Ok(())
}

/// Units and coins are buffered until redis acknowledges them, so units are cancel-safe.
struct Worker<S> {
    services: S,
    metrics: Metrics,
    work: SimulatedWork,
    stop: CancellationToken,
    /// Units of work that are not in the counter yet.
    units_done: u64,
    /// A coin that is not in the wallet yet.
    coin: Option<Coin>,
    /// The sequence number of the next update. A failed update is retried unchanged: no unit is done
    /// in between.
    update: u64,
    /// The time of the last update.
    updated: Option<Instant>,
    /// The pause after the next failure.
    pause: Duration,
}

struct Coin {
    digest: String,
    bytes: [u8; 32],
}

impl<S: Services> Worker<S> {
    fn new(services: S, metrics: Metrics, delay: Duration, stop: CancellationToken) -> Self {
        Self {
            services,
            metrics,
            work: SimulatedWork::new(delay, stop.clone()),
            stop,
            units_done: 0,
            coin: None,
            update: 0,
            updated: None,
            pause: MIN_PAUSE,
        }
    }

    async fn run_until_stopped(mut self) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let result = select! {
                result = self.work_loop() => result,
                () = shutdown_grace(&stop) => break,
            };
            let Err(failure) = result else { break };
            error!("{failure:#}");
            if !stop.is_cancelled() {
                info!("Waiting {}s and restarting.", self.pause.as_secs_f32());
                self.metrics.pauses.inc();
                stop.run_until_cancelled(sleep(self.pause)).await;
                self.pause = MAX_PAUSE.min(self.pause * 2);
            }
        }
        self.flush().await;
    }

    async fn work_loop(&mut self) -> Result<()> {
        self.put_coin().await?;
        while !self.stop.is_cancelled() {
            let unit = in_trace(self.update_and_work());
            unit.instrument(info_span!("unit of work", trace_id = Empty))
                .await?;
        }
        Ok(())
    }

    async fn update_and_work(&mut self) -> Result<()> {
        if self
            .updated
            .is_none_or(|updated| updated.elapsed() >= UPDATE_INTERVAL)
        {
            self.update_counter().await?;
        }
        self.work_once().await
    }

    async fn work_once(&mut self) -> Result<()> {
        debug!("Doing one unit of work");
        let start = Instant::now();
        self.work.run().await;
        self.metrics.work.observe(start.elapsed().as_secs_f64());
        let random_bytes = self.services.get_random_bytes();
        let random_bytes = self.metrics.rng.record(random_bytes).await?;
        let digest = self.services.hash_bytes(random_bytes);
        let digest = self.metrics.hasher.record(digest).await?;
        self.units_done += 1;
        self.metrics.units.inc();
        self.metrics.pending_units.inc();
        self.pause = MIN_PAUSE;
        if !digest.starts_with('0') {
            debug!("No coin found");
            return Ok(());
        }
        info!("Coin found: {}...", &digest[..8]);
        self.metrics.coins.inc();
        self.coin = Some(Coin {
            digest,
            bytes: random_bytes,
        });
        self.put_coin().await
    }

    async fn put_coin(&mut self) -> Result<()> {
        let Some(coin) = &self.coin else {
            return Ok(());
        };
        let new = self.services.hset_wallet(&coin.digest, &coin.bytes);
        if !self.metrics.redis.record(new).await? {
            info!("We already had that coin");
        }
        self.coin = None;
        Ok(())
    }

    async fn update_counter(&mut self) -> Result<()> {
        info!(
            "{} units of work done, updating hash counter",
            self.units_done
        );
        let update = self.services.incrby_hashes(self.units_done, self.update);
        self.metrics.redis.record(update).await?;
        self.units_done = 0;
        self.metrics.pending_units.set(0);
        self.update += 1;
        self.updated = Some(Instant::now());
        Ok(())
    }

    /// Writes unacknowledged progress, or logs how much of it is lost.
    async fn flush(mut self) {
        let write = async {
            self.put_coin().await?;
            if self.units_done > 0 {
                self.update_counter().await
            } else {
                Ok(())
            }
        };
        let result = timeout(FLUSH_TIMEOUT, write).await;
        if let Err(failure) = result.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            error!("{} units of work are lost: {failure:#}", self.units_done);
        }
    }
}

async fn shutdown_grace(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(SHUTDOWN_GRACE).await;
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex, MutexGuard},
    };

    use anyhow::ensure;
    use tokio::task::JoinHandle;

    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    /// In-process services, which tests inspect and break.
    #[derive(Clone, Default)]
    struct FakeServices(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        /// The next digests of hasher; after them it returns one that is no coin.
        digests: Vec<&'static str>,
        /// Digests returned by hasher.
        hashed: u64,
        /// The times of the requests to rng.
        requests: Vec<Instant>,
        /// Time in rng's queue.
        queue: Duration,
        rng_down: bool,
        redis_down: bool,
        hashes: u64,
        /// Updates of the counter.
        updates: u64,
        wallet: HashMap<String, Vec<u8>>,
    }

    impl FakeServices {
        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }

        fn start(&self) -> (CancellationToken, JoinHandle<()>) {
            let stop = CancellationToken::new();
            let metrics = Metrics::register(&mut chassis::Metrics::new("worker"));
            let worker = Worker::new(self.clone(), metrics, DELAY, stop.clone());
            (stop, tokio::spawn(worker.run_until_stopped()))
        }
    }

    impl Services for FakeServices {
        async fn get_random_bytes(&self) -> Result<[u8; 32]> {
            self.state().requests.push(Instant::now());
            ensure!(!self.state().rng_down, "rng is down");
            let queue = self.state().queue;
            sleep(DELAY + queue).await;
            Ok([7; 32])
        }

        async fn hash_bytes(&self, _: [u8; 32]) -> Result<String> {
            sleep(DELAY).await;
            let mut state = self.state();
            state.hashed += 1;
            Ok(state.digests.pop().unwrap_or("1234567890").to_owned())
        }

        async fn incrby_hashes(&self, units: u64, _: u64) -> Result<()> {
            let mut state = self.state();
            ensure!(!state.redis_down, "redis is down");
            state.hashes += units;
            state.updates += 1;
            Ok(())
        }

        async fn hset_wallet(&self, digest: &str, bytes: &[u8]) -> Result<bool> {
            let mut state = self.state();
            ensure!(!state.redis_down, "redis is down");
            Ok(state
                .wallet
                .insert(digest.to_owned(), bytes.to_vec())
                .is_none())
        }
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_takes_0_3_s_so_the_speed_is_3_33() {
        let services = FakeServices::default();
        services.start();
        sleep(seconds(60.1)).await;
        assert_eq!(services.state().hashed, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn polled_once_a_second_the_counter_moves_by_4_or_0() {
        let services = FakeServices::default();
        services.start();
        sleep(seconds(0.5)).await;
        let mut moves = Vec::new();
        for _ in 0..12 {
            let before = services.state().hashes;
            sleep(seconds(1.0)).await;
            moves.push(services.state().hashes - before);
        }
        // An update every 1.2 s, so one second in six has none.
        assert_eq!(moves, [4, 4, 0, 4, 4, 4, 4, 4, 0, 4, 4, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_from_half_a_second_to_ten_seconds() {
        let services = FakeServices::default();
        services.state().rng_down = true;
        services.start();
        sleep(seconds(60.0)).await;
        let pauses = |services: &FakeServices| -> Vec<f64> {
            // The delay precedes each request.
            services
                .state()
                .requests
                .windows(2)
                .map(|two| (two[1] - two[0]).saturating_sub(DELAY).as_secs_f64())
                .collect()
        };
        assert_eq!(
            pauses(&services)[..7],
            [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        );

        // A successful unit resets the pause.
        services.state().rng_down = false;
        sleep(seconds(20.0)).await;
        services.state().rng_down = true;
        sleep(DELAY * 3).await;
        services.state().requests.clear();
        sleep(seconds(10.0)).await;
        assert_eq!(pauses(&services)[..3], [1.0, 2.0, 4.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn units_and_coins_survive_an_outage_of_redis() {
        let services = FakeServices::default();
        services.start();
        sleep(seconds(5.0)).await;
        services.state().redis_down = true;
        services.state().digests = vec!["0ccccccccc"];
        sleep(seconds(30.0)).await;
        assert!(services.state().wallet.is_empty());
        services.state().redis_down = false;
        sleep(seconds(15.0)).await;
        let state = services.state();
        assert!(state.wallet.contains_key("0ccccccccc"));
        let not_yet_written = state.hashed - state.hashes;
        assert!(
            not_yet_written <= 4,
            "{} hashed, {} counted",
            state.hashed,
            state.hashes
        );
        assert!(state.hashes > 40, "it did not go on: {}", state.hashes);
    }

    #[tokio::test(start_paused = true)]
    async fn when_stopped_it_flushes_its_count_without_the_queue_of_rng_or_the_rest_of_a_pause() {
        // At shutdown, a worker without pending units does not update the counter.
        for (name, queue, rng_down, hashed, updates) in [
            ("the current unit is finished", 0.0, false, 7, 3),
            ("a unit in the queue is given up", 5.0, false, 0, 1),
            ("a pause ends early", 0.0, true, 0, 2),
        ] {
            let services = FakeServices::default();
            services.state().queue = seconds(queue);
            services.state().rng_down = rng_down;
            let (stop, running) = services.start();
            sleep(seconds(2.05)).await;
            let start = Instant::now();
            stop.cancel();
            running.await.unwrap();
            assert!(start.elapsed() <= SHUTDOWN_GRACE, "{name}");
            let state = services.state();
            assert_eq!((state.hashed, state.hashes), (hashed, hashed), "{name}");
            assert_eq!(state.updates, updates, "{name}");
        }
    }
}
