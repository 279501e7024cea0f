//! The simulated work.

use std::time::{Duration, Instant as SystemInstant};

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

/// Tokio's timer has a resolution of 1 ms and rounds up. A unit of work has three sleeps, and the
/// workshop measures 3.33 units per second.
const TIMER_ERROR: Duration = Duration::from_millis(2);

/// The simulated work of a service: what a class measures.
#[derive(Debug, Clone)]
pub struct SimulatedWork {
    delay: Duration,
    stop: CancellationToken,
}

impl SimulatedWork {
    /// Work that takes `delay`, and ends early when `stop` is cancelled.
    #[must_use]
    pub fn new(delay: Duration, stop: CancellationToken) -> Self {
        Self { delay, stop }
    }

    /// Sleeps for the delay, accurate to a fraction of a millisecond; returns at once for zero or
    /// once stopped.
    pub async fn run(&self) {
        if !self.delay.is_zero() {
            self.stop
                .run_until_cancelled(sleep_precisely(self.delay))
                .instrument(info_span!("simulate work"))
                .await;
        }
    }
}

/// Wakes early, then yields to other tasks until the deadline. The yielding is bounded in system
/// time, because a paused clock does not advance meanwhile.
async fn sleep_precisely(delay: Duration) {
    let deadline = Instant::now() + delay;
    sleep_until(deadline - TIMER_ERROR.min(delay)).await;
    let woken = SystemInstant::now();
    while Instant::now() < deadline && woken.elapsed() < TIMER_ERROR {
        yield_now().await;
    }
    // Not once the deadline has passed: the timer would round up to its next tick.
    if Instant::now() < deadline {
        sleep_until(deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn it_takes_the_delay() {
        let start = Instant::now();
        SimulatedWork::new(DELAY, CancellationToken::new())
            .run()
            .await;
        assert_eq!(start.elapsed(), DELAY);
        SimulatedWork::new(Duration::ZERO, CancellationToken::new())
            .run()
            .await;
        assert_eq!(start.elapsed(), DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_early_when_stopped() {
        let stop = CancellationToken::new();
        let work = SimulatedWork::new(DELAY, stop.clone());
        let start = Instant::now();
        let stopping = async {
            sleep(Duration::from_millis(30)).await;
            stop.cancel();
        };
        tokio::join!(work.run(), stopping);
        assert_eq!(start.elapsed(), Duration::from_millis(30));
        work.run().await;
        assert_eq!(start.elapsed(), Duration::from_millis(30));
    }
}
