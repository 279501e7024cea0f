//! The simulated work.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Sleeps for `delay`, the work that a class measures; not at all for zero, and no longer once
/// `stop` is cancelled, so that whoever still waits has an answer at once.
pub async fn simulate_work(delay: Duration, stop: &CancellationToken) {
    if !delay.is_zero() {
        stop.run_until_cancelled(sleep(delay)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

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
