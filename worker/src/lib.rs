//! worker: the loop. Asks rng for random bytes, asks hasher for their digest, counts in redis.

mod config;
mod services;

use std::time::Duration;

use anyhow::Result;
use chassis::{CancellationToken, simulate_work};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info};

pub use config::{Config, PROGRAM};
use services::{Network, Services};

/// The counter is updated between two units, once this has passed since the last update. No timer
/// beside the loop: that is why the counter, looked at once a second, moves by 4, by 4, by 4, by 0,
/// which the workshop explains at length.
const INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a failure; it doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause after a failure.
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// How long the unit in hand may take once the worker is to stop.
const GRACE: Duration = Duration::from_millis(300);

/// How long the last update may take then.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// Works until `stop` is cancelled. Nothing that fails ends it: it says what it was, pauses and
/// tries again.
///
/// # Errors
///
/// When there can be no HTTP client here at all.
pub async fn run(config: Config, stop: CancellationToken) -> Result<()> {
    let delay = config.delay;
    Worker::new(Network::new(config)?, delay).run(&stop).await;
    Ok(())
}

/// What a failure must not lose: units and coins stay here until they are in redis. So a unit may
/// also be given up at any point.
struct Worker<S> {
    services: S,
    /// The simulated work of a unit.
    delay: Duration,
    /// Units of work that are not in the counter yet.
    units_done: u64,
    /// A coin that is not in the wallet yet.
    coin: Option<Coin>,
    /// Updates of the counter so far. One that failed is tried again as it was: between two tries no
    /// unit is done.
    updates: u64,
    /// When the counter was last updated.
    updated: Option<Instant>,
    /// How long to wait after the next failure.
    pause: Duration,
}

struct Coin {
    digest: String,
    bytes: [u8; 32],
}

impl<S: Services> Worker<S> {
    fn new(services: S, delay: Duration) -> Self {
        Self {
            services,
            delay,
            units_done: 0,
            coin: None,
            updates: 0,
            updated: None,
            pause: FIRST_PAUSE,
        }
    }

    async fn run(mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let worked = tokio::select! {
                worked = self.work_loop(stop) => worked,
                () = grace_after(stop) => break,
            };
            let Err(failure) = worked else { break };
            error!("{failure:#}");
            if !stop.is_cancelled() {
                info!("Waiting {}s and restarting.", self.pause.as_secs_f32());
                stop.run_until_cancelled(sleep(self.pause)).await;
                self.pause = LAST_PAUSE.min(self.pause * 2);
            }
        }
        self.leave().await;
    }

    /// Returns when the worker is to stop, or when something fails.
    async fn work_loop(&mut self, stop: &CancellationToken) -> Result<()> {
        self.store_coin().await?;
        while !stop.is_cancelled() {
            if self
                .updated
                .is_none_or(|updated| updated.elapsed() >= INTERVAL)
            {
                self.update_counter().await?;
            }
            self.work_once(stop).await?;
        }
        Ok(())
    }

    async fn work_once(&mut self, stop: &CancellationToken) -> Result<()> {
        debug!("Doing one unit of work");
        simulate_work(self.delay, stop).await;
        let random_bytes = self.services.get_random_bytes().await?;
        let digest = self.services.hash_bytes(random_bytes).await?;
        self.units_done += 1;
        self.pause = FIRST_PAUSE;
        if !digest.starts_with('0') {
            debug!("No coin found");
            return Ok(());
        }
        info!("Coin found: {}...", &digest[..8]);
        self.coin = Some(Coin {
            digest,
            bytes: random_bytes,
        });
        self.store_coin().await
    }

    async fn store_coin(&mut self) -> Result<()> {
        let Some(coin) = &self.coin else {
            return Ok(());
        };
        let new = self.services.store_coin(&coin.digest, &coin.bytes).await?;
        if !new {
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
        self.services
            .update_counter(self.units_done, self.updates)
            .await?;
        self.units_done = 0;
        self.updates += 1;
        self.updated = Some(Instant::now());
        Ok(())
    }

    /// Writes what is not in redis yet, if redis can be reached.
    async fn leave(mut self) {
        let write = async {
            self.store_coin().await?;
            if self.units_done > 0 {
                self.update_counter().await
            } else {
                Ok(())
            }
        };
        let failure = match timeout(LAST_GRACE, write).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(elapsed) => elapsed.into(),
        };
        error!("{} units of work are lost: {failure:#}", self.units_done);
    }
}

async fn grace_after(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(GRACE).await;
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

    /// Services without a network, on which the tests look and which they break.
    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        /// What hasher gives, once, before it gives digests that are no coin.
        digests: Vec<&'static str>,
        /// The digests that hasher has given.
        hashed: u64,
        /// When rng was asked.
        asked: Vec<Instant>,
        /// How long rng takes.
        queue: Duration,
        rng_is_away: bool,
        redis_is_away: bool,
        answers_of_redis_are_lost: bool,
        hashes: u64,
        last_update: Option<u64>,
        updates: Vec<u64>,
        wallet: HashMap<String, Vec<u8>>,
    }

    impl Fake {
        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }

        fn start(&self) -> (CancellationToken, JoinHandle<()>) {
            let stop = CancellationToken::new();
            let worker = Worker::new(self.clone(), DELAY);
            let running = tokio::spawn({
                let stop = stop.clone();
                async move { worker.run(&stop).await }
            });
            (stop, running)
        }
    }

    impl Services for Fake {
        async fn get_random_bytes(&self) -> Result<[u8; 32]> {
            self.state().asked.push(Instant::now());
            ensure!(!self.state().rng_is_away, "rng is away");
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

        async fn update_counter(&mut self, units: u64, number: u64) -> Result<()> {
            let mut state = self.state();
            ensure!(!state.redis_is_away, "redis is away");
            if state.last_update != Some(number) {
                state.last_update = Some(number);
                state.hashes += units;
                state.updates.push(units);
            }
            ensure!(!state.answers_of_redis_are_lost, "the answer is lost");
            Ok(())
        }

        async fn store_coin(&mut self, digest: &str, bytes: &[u8]) -> Result<bool> {
            let mut state = self.state();
            ensure!(!state.redis_is_away, "redis is away");
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
        let services = Fake::default();
        services.start();
        sleep(seconds(60.1)).await;
        assert_eq!(services.state().hashed, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn looked_at_once_a_second_the_counter_moves_by_4_or_not_at_all() {
        let services = Fake::default();
        services.start();
        sleep(seconds(0.5)).await;
        let mut moves = Vec::new();
        for _ in 0..12 {
            let before = services.state().hashes;
            sleep(seconds(1.0)).await;
            moves.push(services.state().hashes - before);
        }
        // An update each 1.2 s, so in six seconds one has none.
        assert_eq!(moves, [4, 4, 0, 4, 4, 4, 4, 4, 0, 4, 4, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_update_comes_at_once_and_is_0() {
        let services = Fake::default();
        services.start();
        sleep(seconds(2.5)).await;
        assert_eq!(services.state().updates, [0, 4, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_digest_that_begins_with_0_is_a_coin() {
        let services = Fake::default();
        services.state().digests = vec!["10aaaaaaaa", "0bbbbbbbbb", "aaaaaaaaa0"];
        services.start();
        sleep(seconds(1.0)).await;
        let wallet = HashMap::from([("0bbbbbbbbb".to_owned(), vec![7; 32])]);
        assert_eq!(services.state().wallet, wallet);
        assert_eq!(services.state().hashed, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn after_failures_it_waits_from_half_a_second_doubling_up_to_ten() {
        let services = Fake::default();
        services.state().rng_is_away = true;
        services.start();
        sleep(seconds(60.0)).await;
        let pauses = |services: &Fake| -> Vec<f64> {
            // A tenth of a second passes between the pause and the next question.
            services
                .state()
                .asked
                .windows(2)
                .map(|two| (two[1] - two[0]).saturating_sub(DELAY).as_secs_f64())
                .collect()
        };
        assert_eq!(
            pauses(&services)[..7],
            [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        );

        // A unit that succeeds ends the row.
        services.state().rng_is_away = false;
        sleep(seconds(20.0)).await;
        services.state().rng_is_away = true;
        sleep(DELAY * 3).await;
        services.state().asked.clear();
        sleep(seconds(10.0)).await;
        assert_eq!(pauses(&services)[..3], [1.0, 2.0, 4.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn units_and_coins_outlive_a_failure_of_redis() {
        let services = Fake::default();
        services.start();
        sleep(seconds(5.0)).await;
        services.state().redis_is_away = true;
        services.state().digests = vec!["0ccccccccc"];
        sleep(seconds(30.0)).await;
        assert!(services.state().wallet.is_empty());
        services.state().redis_is_away = false;
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
    async fn an_update_whose_answer_is_lost_counts_once() {
        let services = Fake::default();
        let (stop, running) = services.start();
        sleep(seconds(2.0)).await;
        services.state().answers_of_redis_are_lost = true;
        sleep(seconds(20.0)).await;
        services.state().answers_of_redis_are_lost = false;
        sleep(seconds(20.0)).await;
        stop.cancel();
        running.await.unwrap();
        let state = services.state();
        assert_eq!(state.hashes, state.hashed);
        assert!(state.hashes > 20, "it did not go on: {}", state.hashes);
    }

    #[tokio::test(start_paused = true)]
    async fn once_stopped_it_finishes_the_unit_in_hand_and_writes_its_count() {
        let services = Fake::default();
        let (stop, running) = services.start();
        sleep(seconds(2.05)).await;
        let start = Instant::now();
        stop.cancel();
        running.await.unwrap();
        assert!(start.elapsed() <= GRACE, "{:?}", start.elapsed());
        let state = services.state();
        assert_eq!((state.hashed, state.hashes), (7, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn once_stopped_it_waits_no_longer_in_the_queue_of_rng() {
        let services = Fake::default();
        services.state().queue = seconds(5.0);
        let (stop, running) = services.start();
        sleep(seconds(7.0)).await;
        let start = Instant::now();
        stop.cancel();
        running.await.unwrap();
        assert!(start.elapsed() <= GRACE * 2, "{:?}", start.elapsed());
        let state = services.state();
        assert_eq!((state.hashed, state.hashes), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn once_stopped_it_does_not_sit_out_its_pause() {
        let services = Fake::default();
        services.state().rng_is_away = true;
        let (stop, running) = services.start();
        sleep(seconds(20.0)).await;
        let start = Instant::now();
        stop.cancel();
        running.await.unwrap();
        assert!(start.elapsed() <= GRACE, "{:?}", start.elapsed());
    }
}
