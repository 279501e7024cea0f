//! hasher: SHA-256 over HTTP, concurrently.
//!
//! A request takes as long as at rng, but adding workers does not slow it down.

mod config;

use std::{fmt::Write, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use chassis::{CancellationToken, Metrics, SimulatedWork};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, time::timeout};

pub use config::Config;

/// The largest body: 64 MiB.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Beyond it the answer is 408. The largest body needs 9 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves on `listener` until `stop` is cancelled. A `POST` takes `delay`.
pub async fn run(listener: TcpListener, delay: Duration, stop: CancellationToken) {
    let router = router(delay, stop.clone());
    chassis::serve(listener, router, Metrics::new("hasher"), stop).await;
}

fn router(delay: Duration, stop: CancellationToken) -> Router {
    Router::new()
        .route("/", get(index).post(hash))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(SimulatedWork::new(delay, stop))
}

async fn index() -> String {
    format!(
        "HASHER running on {}\n",
        gethostname::gethostname().display()
    )
}

async fn hash(
    State(work): State<SimulatedWork>,
    body: Body,
) -> Result<impl IntoResponse, Rejection> {
    let digest = timeout(BODY_TIMEOUT, digest(body)).await;
    let digest = digest.unwrap_or_else(|_| Err(too_slow()))?;
    work.run().await;
    Ok(([(header::CONTENT_TYPE, "text/plain")], digest))
}

/// Hashes the body as it streams in, so memory does not grow with it.
async fn digest(body: Body) -> Result<String, Rejection> {
    // Before the client sends the body, if it waits for `100 Continue`.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut sha256 = Sha256::new();
    let mut body = Limited::new(body, MAX_BODY);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast_ref() {
            Some(LengthLimitError { .. }) => too_large(),
            None => incomplete(),
        })?;
        if let Ok(data) = frame.into_data() {
            sha256.update(&data);
        }
    }
    Ok(hex(&sha256.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

type Rejection = (StatusCode, String);

fn incomplete() -> Rejection {
    let message = "the body ended before it was complete\n";
    (StatusCode::BAD_REQUEST, message.to_owned())
}

fn too_slow() -> Rejection {
    let limit = BODY_TIMEOUT.as_secs();
    let message = format!("the body took too long: the limit is {limit} s\n");
    (StatusCode::REQUEST_TIMEOUT, message)
}

fn too_large() -> Rejection {
    let message = format!("the body is too large: the limit is {MAX_BODY} bytes\n");
    (StatusCode::PAYLOAD_TOO_LARGE, message)
}

async fn not_found() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "not found: POST the data to hash to /\n",
    )
}

async fn method_not_allowed() -> (StatusCode, &'static str) {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed: hasher answers POST, GET and HEAD\n",
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::http::Request;
    use futures_util::{future::join_all, stream};
    use tokio::time::{Instant, sleep};
    use tower::ServiceExt;

    use super::*;

    const DELAY: Duration = Duration::from_millis(100);

    async fn ask(hasher: &Router, method: &str) -> StatusCode {
        let request = Request::builder()
            .method(method)
            .body(Body::from("32 bytes"))
            .unwrap();
        hasher.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_post_takes_the_delay() {
        let hasher = router(DELAY, CancellationToken::new());
        for (method, delay) in [
            ("POST", DELAY),
            ("GET", Duration::ZERO),
            ("PUT", Duration::ZERO),
        ] {
            let start = Instant::now();
            ask(&hasher, method).await;
            assert_eq!(start.elapsed(), delay, "{method}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_concurrent_requests_take_as_long_as_one() {
        let hasher = router(DELAY, CancellationToken::new());
        let start = Instant::now();
        let status = join_all((0..50).map(|_| ask(&hasher, "POST"))).await;
        assert_eq!(status, [StatusCode::OK; 50]);
        assert_eq!(start.elapsed(), DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_takes_over_a_minute_is_answered_with_408() {
        let hasher = router(DELAY, CancellationToken::new());
        // One byte per second.
        let body = stream::unfold((), async |()| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, io::Error>("x"), ()))
        });
        let request = Request::post("/").body(Body::from_stream(body)).unwrap();
        let start = Instant::now();
        let response = hasher.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(start.elapsed(), BODY_TIMEOUT);
    }
}
