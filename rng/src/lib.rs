//! rng: random bytes over HTTP, **one request at a time**.
//!
//! The bottleneck that the workshop looks for: one rng serves ten requests a second, whatever the
//! number of clients.

mod config;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{
    CancellationToken, Metrics, SimulatedWork,
    metrics::{Counted, Counter, Gauge, Histogram, seconds},
};
use futures_util::stream;
use rand::{
    TryRng,
    rngs::{SysError, SysRng},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, MutexGuard, Semaphore},
    time::Instant,
};
use tracing::{Instrument, info_span};

pub use config::Config;

/// The largest response: 1 MiB.
const MAX_BYTES: usize = 1024 * 1024;

/// Chunk size, 16 KiB; with backpressure, the memory per client.
const CHUNK: usize = 16_384;

/// Queue length, beyond which the answer is 503. The last of 256 waits about 26 s.
const MAX_WAITING: usize = 256;

/// The `Retry-After` of that 503, in seconds.
const RETRY_AFTER: &str = "10";

/// Serves on `listener` until `stop` is cancelled. A request for bytes takes `delay`.
pub async fn run(listener: TcpListener, delay: Duration, stop: CancellationToken) {
    let mut metrics = Metrics::new("rng");
    let router = router(delay, Queue::new(&mut metrics), stop.clone());
    chassis::serve(listener, router, metrics, stop).await;
}

fn router(delay: Duration, queue: Queue, stop: CancellationToken) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/{n}", get(random_bytes))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(async || not_found())
        .with_state(SimulatedWork::new(delay, stop))
        .layer(from_fn_with_state(Arc::new(queue), one_at_a_time))
}

struct Queue {
    /// Held by the request that is served. Tokio's mutex is fair: first come, first served.
    turn: Mutex<()>,
    /// A permit per request, queued or served.
    places: Semaphore,
    length: Gauge,
    wait: Histogram,
    rejected: Counter,
}

impl Queue {
    fn new(metrics: &mut Metrics) -> Self {
        let length = "Requests that wait for their turn";
        let rejected = "Requests rejected because the queue was full";
        Self {
            turn: Mutex::new(()),
            places: Semaphore::new(MAX_WAITING + 1),
            length: metrics.register("rng_queue_length", length, Gauge::default()),
            wait: metrics.register("rng_queue_wait_seconds", "Time in the queue", seconds()),
            rejected: metrics.register("rng_rejected_requests", rejected, Counter::default()),
        }
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        let _waiting = Counted::new(&self.length);
        let arrived = Instant::now();
        let turn = self
            .turn
            .lock()
            .instrument(info_span!("wait in queue"))
            .await;
        self.wait.observe(arrived.elapsed().as_secs_f64());
        turn
    }
}

/// All paths share the queue, `/` too. A request enters it when its head has been read, and leaves it
/// before its body is sent, so slow clients block nobody. A client that disconnects while queued
/// cancels this future and costs no turn.
async fn one_at_a_time(State(queue): State<Arc<Queue>>, request: Request, next: Next) -> Response {
    let Ok(_place) = queue.places.try_acquire() else {
        queue.rejected.inc();
        return queue_is_full();
    };
    let _turn = queue.turn().await;
    next.run(request).await
}

async fn index() -> String {
    format!("RNG running on {}\n", gethostname::gethostname().display())
}

async fn random_bytes(
    State(work): State<SimulatedWork>,
    Path(n): Path<String>,
) -> Result<impl IntoResponse, Rejection> {
    let n = byte_count(&n)?;
    work.run().await;
    let chunks = (0..n)
        .step_by(CHUNK)
        .map(move |sent| random_chunk(CHUNK.min(n - sent)));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, n.to_string()),
    ];
    Ok((headers, Body::from_stream(stream::iter(chunks))))
}

type Rejection = (StatusCode, String);

/// A number that overflows is above the limit too.
fn byte_count(n: &str) -> Result<usize, Rejection> {
    if !n.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(not_found());
    }
    let count = n.parse().ok().filter(|&n| n <= MAX_BYTES);
    let too_many = || format!("{n} bytes are too many: the limit is {MAX_BYTES}\n");
    count.ok_or_else(|| (StatusCode::BAD_REQUEST, too_many()))
}

/// From the operating system. An error, which current systems do not have, resets the connection.
fn random_chunk(size: usize) -> Result<Vec<u8>, SysError> {
    let mut bytes = vec![0; size];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

fn queue_is_full() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, RETRY_AFTER)],
        "the queue is full: try again later\n",
    )
        .into_response()
}

fn not_found() -> Rejection {
    let message = "not found: ask for /32, which gives 32 random bytes\n";
    (StatusCode::NOT_FOUND, message.to_owned())
}

async fn method_not_allowed() -> (StatusCode, &'static str) {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed: rng answers GET and HEAD\n",
    )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tokio::time::{Instant, sleep};
    use tower::ServiceExt;

    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    fn queue() -> Queue {
        Queue::new(&mut Metrics::new("rng"))
    }

    fn rng() -> Router {
        router(DELAY, queue(), CancellationToken::new())
    }

    async fn get(rng: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        rng.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_request_for_bytes_takes_the_delay() {
        let rng = rng();
        for (path, delay) in [
            ("/32", DELAY),
            ("/0", DELAY),
            ("/", Duration::ZERO),
            ("/abc", Duration::ZERO),
        ] {
            let start = Instant::now();
            get(&rng, path).await;
            assert_eq!(start.elapsed(), delay, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_served_one_at_a_time_in_order_of_arrival() {
        let rng = rng();
        let start = Instant::now();
        let served_at = |path| {
            let rng = &rng;
            async move {
                get(rng, path).await;
                start.elapsed().as_millis()
            }
        };
        let times = tokio::join!(
            served_at("/32"),
            served_at("/32"),
            served_at("/"),
            served_at("/abc"),
            served_at("/32"),
            served_at("/"),
        );
        assert_eq!(times, (100, 200, 200, 200, 300, 300));
    }

    #[tokio::test(start_paused = true)]
    async fn with_ten_workers_seven_requests_wait_for_about_700_ms() {
        let queue = queue();
        let length = queue.length.clone();
        let rng = router(DELAY, queue, CancellationToken::new());
        for _ in 0..10 {
            let rng = rng.clone();
            tokio::spawn(async move {
                // A worker: 200 ms elsewhere, then a request.
                loop {
                    sleep(2 * DELAY).await;
                    get(&rng, "/32").await;
                }
            });
        }
        sleep(Duration::from_secs(10)).await;
        assert_eq!(length.get(), 7);
        for path in ["/", "/32"] {
            let start = Instant::now();
            get(&rng, path).await;
            let waited = start.elapsed().as_millis();
            assert!((700..=900).contains(&waited), "{path}: {waited} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_answers_503_with_retry_after() {
        let queue = queue();
        let rejected = queue.rejected.clone();
        let rng = router(DELAY, queue, CancellationToken::new());
        for _ in 0..=MAX_WAITING {
            let rng = rng.clone();
            tokio::spawn(async move { get(&rng, "/32").await });
        }
        sleep(DELAY / 2).await;
        let start = Instant::now();
        let request = Request::get("/32").body(Body::empty()).unwrap();
        let response = rng.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], RETRY_AFTER);
        assert_eq!(rejected.get(), 1);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // One turn later there is room again.
        sleep(DELAY).await;
        assert_eq!(get(&rng, "/32").await, StatusCode::OK);
    }
}
