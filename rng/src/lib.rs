//! rng: random bytes over HTTP, **one request at a time**.
//!
//! The workshop lets a class hunt for a bottleneck, and this is it: however many ask, one rng
//! serves ten a second.

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
use chassis::{CancellationToken, simulate_work};
use futures_util::stream;
use rand::{
    TryRng,
    rngs::{SysError, SysRng},
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, Semaphore},
};

pub use config::{Config, PROGRAM};

/// The most bytes that one request can ask for: 1 MiB.
const MAX_BYTES: usize = 1024 * 1024;

/// The most bytes in memory for a client: the next ones are made once it has taken these.
const CHUNK: usize = 16 * 1024;

/// The most requests that wait for their turn; the next is answered with 503. The last one of so
/// many waits 26 seconds.
const MAX_WAITING: usize = 256;

/// What a client that finds the queue full is told: to come again after so many seconds.
const RETRY_AFTER: &str = "10";

/// Serves on `listener` until `stop` is cancelled; each request for bytes takes `delay`.
pub async fn run(listener: TcpListener, delay: Duration, stop: CancellationToken) {
    chassis::serve(listener, router(delay, stop.clone()), stop).await;
}

fn router(delay: Duration, stop: CancellationToken) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/{n}", get(random_bytes))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(Work { delay, stop })
        .layer(from_fn_with_state(Arc::new(Queue::new()), one_at_a_time))
}

struct Queue {
    /// Whoever holds the lock is being served, the others queue for it: tokio's lock is fair, first
    /// come, first served.
    turn: Mutex<()>,
    /// The places in the queue, the one at its head included.
    places: Semaphore,
}

impl Queue {
    fn new() -> Self {
        Self {
            turn: Mutex::new(()),
            places: Semaphore::new(MAX_WAITING + 1),
        }
    }
}

/// All paths wait in the one queue, `/` too. What waits here is a request that has been read: a
/// client that is slow to send or to read holds up nobody. One that hangs up is dropped from the
/// queue, and costs no turn.
async fn one_at_a_time(State(queue): State<Arc<Queue>>, request: Request, next: Next) -> Response {
    let Ok(_place) = queue.places.try_acquire() else {
        return queue_is_full();
    };
    let _turn = queue.turn.lock().await;
    next.run(request).await
}

async fn index() -> String {
    format!("RNG running on {}\n", gethostname::gethostname().display())
}

/// The simulated work, and what cuts it short.
#[derive(Clone)]
struct Work {
    delay: Duration,
    stop: CancellationToken,
}

async fn random_bytes(State(work): State<Work>, Path(n): Path<String>) -> Response {
    if !n.bytes().all(|digit| digit.is_ascii_digit()) {
        return not_found().await.into_response();
    }
    // A number that does not fit into one is too many bytes as well.
    let Some(n) = n.parse().ok().filter(|&n| n <= MAX_BYTES) else {
        return (
            StatusCode::BAD_REQUEST,
            format!("{n} bytes are too many: the limit is {MAX_BYTES}\n"),
        )
            .into_response();
    };
    simulate_work(work.delay, &work.stop).await;
    let chunks = (0..n)
        .step_by(CHUNK)
        .map(move |sent| random_chunk(CHUNK.min(n - sent)));
    (
        [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, n.to_string()),
        ],
        Body::from_stream(stream::iter(chunks)),
    )
        .into_response()
}

/// From the operating system. If it has none, which nobody has seen yet, the connection breaks.
fn random_chunk(size: usize) -> Result<Vec<u8>, SysError> {
    let mut bytes = vec![0; size];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

fn queue_is_full() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, RETRY_AFTER)],
        "the queue is full: come again later\n",
    )
        .into_response()
}

async fn not_found() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "not found: ask for /32, which gives 32 random bytes\n",
    )
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
    use tokio::time::{Instant, sleep, timeout};
    use tower::ServiceExt;

    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    fn rng() -> Router {
        router(DELAY, CancellationToken::new())
    }

    async fn get(rng: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        rng.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_delay_and_nothing_else_does() {
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
    async fn it_handles_one_request_at_a_time_first_come_first_served() {
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
    async fn with_ten_workers_a_request_waits_about_700_ms() {
        let rng = rng();
        for _ in 0..10 {
            let rng = rng.clone();
            tokio::spawn(async move {
                // A worker: 200 ms elsewhere, then here.
                loop {
                    sleep(2 * DELAY).await;
                    get(&rng, "/32").await;
                }
            });
        }
        sleep(Duration::from_secs(10)).await;
        for path in ["/", "/32"] {
            let start = Instant::now();
            get(&rng, path).await;
            let waited = start.elapsed().as_millis();
            assert!((700..=900).contains(&waited), "{path}: {waited} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_leaves_the_queue_costs_no_turn() {
        let rng = rng();
        let start = Instant::now();
        let first = tokio::spawn({
            let rng = rng.clone();
            async move { get(&rng, "/1").await }
        });
        sleep(DELAY / 10).await;
        // It queues, and gives up before its turn comes.
        assert!(timeout(DELAY / 10, get(&rng, "/2")).await.is_err());
        get(&rng, "/3").await;
        assert_eq!(start.elapsed(), 2 * DELAY);
        assert_eq!(first.await.unwrap(), StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_is_full_turns_away_the_next_and_says_when_to_come_again() {
        let rng = rng();
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
        assert_eq!(start.elapsed(), Duration::ZERO);
        // One turn later there is a place again.
        sleep(DELAY).await;
        assert_eq!(get(&rng, "/32").await, StatusCode::OK);
    }
}
