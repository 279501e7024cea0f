//! hasher: SHA-256 over HTTP, concurrently.
//!
//! A request takes as long as at rng, but adding workers does not slow it down.

mod config;

use std::{fmt::Write, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{CancellationToken, Metrics, Work};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, time::timeout};

pub use config::{Config, PROGRAM};

/// The largest body: 64 MiB.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Beyond it the answer is 408. The largest body needs 9 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves on `listener` until `stop` is cancelled. A `POST` takes `delay`.
pub async fn run(listener: TcpListener, delay: Duration, stop: CancellationToken) {
    let router = router(delay, stop.clone());
    chassis::serve(listener, router, Metrics::new(&PROGRAM), stop).await;
}

fn router(delay: Duration, stop: CancellationToken) -> Router {
    Router::new()
        .route("/", get(index).post(hash))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(Work::new(delay, stop))
}

async fn index() -> String {
    format!(
        "HASHER running on {}\n",
        gethostname::gethostname().display()
    )
}

async fn hash(State(work): State<Work>, headers: HeaderMap, body: Body) -> Response {
    if expects_too_large(&headers) {
        return too_large();
    }
    let digest = match timeout(BODY_TIMEOUT, digest(body)).await {
        Ok(Ok(digest)) => digest,
        Ok(Err(response)) => return response,
        Err(_) => return too_slow(),
    };
    work.simulate().await;
    ([(header::CONTENT_TYPE, "text/plain")], digest).into_response()
}

/// `Expect: 100-continue` with a length: the client has not sent the body yet and need not.
fn expects_too_large(headers: &HeaderMap) -> bool {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    headers.contains_key(header::EXPECT)
        && length.is_some_and(|length: u64| length > MAX_BODY as u64)
}

/// Hashes the body as it streams in, so memory does not grow with it.
async fn digest(mut body: Body) -> Result<String, Response> {
    let mut sha256 = Sha256::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(incomplete());
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size += data.len();
        if size <= MAX_BODY {
            sha256.update(&data);
        } else if size > 2 * MAX_BODY {
            // Drain up to twice the limit: a client that is still sending would lose the 413 to a
            // reset.
            break;
        }
    }
    if size > MAX_BODY {
        return Err(too_large());
    }
    Ok(hex(&sha256.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn incomplete() -> Response {
    (
        StatusCode::BAD_REQUEST,
        "the body ended before it was complete\n",
    )
        .into_response()
}

fn too_slow() -> Response {
    (
        StatusCode::REQUEST_TIMEOUT,
        format!(
            "the body took too long: the limit is {} s\n",
            BODY_TIMEOUT.as_secs()
        ),
    )
        .into_response()
}

fn too_large() -> Response {
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is too large: the limit is {MAX_BODY} bytes\n"),
    )
        .into_response()
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
    use futures_util::stream;
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
    async fn requests_are_served_concurrently() {
        let hasher = router(DELAY, CancellationToken::new());
        let start = Instant::now();
        tokio::join!(
            ask(&hasher, "POST"),
            ask(&hasher, "POST"),
            ask(&hasher, "POST")
        );
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
