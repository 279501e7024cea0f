//! The simulated work.

use std::time::{Duration, Instant as RealInstant};

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// tokio's timer counts in milliseconds and rounds up: a sleep ends up to two of them late. There
/// are three in a unit of work, and the workshop measures 3.33 units a second.
const LATENESS: Duration = Duration::from_millis(2);

/// Sleeps for `delay`, the work that a class measures, to a fraction of a millisecond; not at all
/// for zero, and no longer once `stop` is cancelled, so that whoever still waits has an answer at
/// once.
pub async fn simulate_work(delay: Duration, stop: &CancellationToken) {
    if !delay.is_zero() {
        stop.run_until_cancelled(sleep_precisely(delay)).await;
    }
}

/// Wakes early, and lets the others go first until it is time. It gives up on that after so much real
/// time, since the clock of a test stands still meanwhile.
async fn sleep_precisely(delay: Duration) {
    let end = Instant::now() + delay;
    sleep_until(end - LATENESS.min(delay)).await;
    let woken = RealInstant::now();
    while Instant::now() < end && woken.elapsed() < LATENESS {
        yield_now().await;
    }
    sleep_until(end).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn takes_as_long_as_it_is_told() {
        let start = Instant::now();
        simulate_work(Duration::from_millis(100), &CancellationToken::new()).await;
        assert_eq!(start.elapsed(), Duration::from_millis(100));
        simulate_work(Duration::ZERO, &CancellationToken::new()).await;
        assert_eq!(start.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn takes_no_longer_once_stopped() {
        let stop = CancellationToken::new();
        let start = Instant::now();
        let stopping = async {
            sleep(Duration::from_millis(30)).await;
            stop.cancel();
        };
        tokio::join!(simulate_work(Duration::from_millis(100), &stop), stopping);
        assert_eq!(start.elapsed(), Duration::from_millis(30));
        simulate_work(Duration::from_millis(100), &stop).await;
        assert_eq!(start.elapsed(), Duration::from_millis(30));
    }
}
