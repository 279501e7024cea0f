//! webui: the page, and the counters that it plots.

mod config;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::State,
    handler::HandlerWithoutStateExt,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{CancellationToken, Metrics, Redis};
use redis::{FromRedisValue, Pipeline};
use serde::Serialize;
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};
use tower_http::{
    catch_panic::CatchPanicLayer, services::ServeDir, set_header::SetResponseHeaderLayer,
};
use tracing::warn;

pub use config::Config;

/// The copy of the page in the image, for when there is no volume, as on a remote engine.
const IMAGE_COPY: &str = "/page";

/// Response timeout of redis: `/json` answers within 2 s.
const REDIS_TIMEOUT: Duration = Duration::from_millis(1500);

/// Names the version and the host, such as `webui 1.0.0 on 4f1c0a2b3c4d`: the page shows who answered.
const SERVED_BY: HeaderName = HeaderName::from_static("served-by");

/// The page loads its own files only; inline scripts and styles are blocked.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves `page` and `/json` on `listener` until `stop` is cancelled.
pub async fn run(
    listener: TcpListener,
    redis: redis::Client,
    page: Router,
    stop: CancellationToken,
) {
    let redis = Redis::new(redis);
    let router = router(redis.clone(), page);
    let metrics = Metrics::new("webui").ready(move || ready(redis.clone()));
    chassis::serve(listener, router, metrics, stop).await;
}

fn router(redis: Redis, page: Router) -> Router {
    let router = Router::new()
        .route("/", get(index))
        .route("/json", get(counters))
        .with_state(redis)
        .fallback_service(page)
        // A file whose modification time no HTTP date can express panics.
        .layer(CatchPanicLayer::new());
    // No caching: an edit shows at the next reload.
    [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
    .into_iter()
    .fold(router, with_header)
    .layer(SetResponseHeaderLayer::overriding(SERVED_BY, served_by()))
}

fn with_header(router: Router, (name, value): (HeaderName, &'static str)) -> Router {
    let value = HeaderValue::from_static(value);
    router.layer(SetResponseHeaderLayer::overriding(name, value))
}

/// `None` if the host name is not ASCII.
fn served_by() -> Option<HeaderValue> {
    let version = env!("CARGO_PKG_VERSION");
    let revision = chassis::REVISION.map(|revision| format!(" ({revision:.7})"));
    let revision = revision.unwrap_or_default();
    let host = gethostname::gethostname();
    HeaderValue::try_from(format!("webui {version}{revision} on {}", host.display())).ok()
}

/// The page from `files`: an edit shows at the next reload. Files missing there are served from the
/// image.
pub fn page(files: &Path) -> Router {
    let directory = |path| ServeDir::new(path).append_index_html_on_directories(false);
    let image_copy = directory(Path::new(IMAGE_COPY)).fallback(not_found.into_service());
    Router::new().fallback_service(directory(files).fallback(image_copy))
}

async fn index() -> impl IntoResponse {
    (StatusCode::FOUND, [(header::LOCATION, "/index.html")])
}

/// Polled by the page once a second; the page computes the speed itself.
#[derive(Serialize)]
struct Counters {
    /// Entries of the wallet.
    coins: u64,
    /// The counter as Redis stores it: a string, or null before the first unit of work.
    hashes: Option<String>,
    /// Unix time in seconds.
    now: f64,
}

async fn counters(State(redis): State<Redis>) -> Response {
    match query(&redis, redis::pipe().hlen("wallet").get("hashes")).await {
        Ok((coins, hashes)) => {
            let now = now();
            Json(Counters { coins, hashes, now }).into_response()
        }
        Err(error) => {
            warn!("no counters for the page: {error:#}");
            let body = json!({ "error": format!("redis is unavailable: {error:#}") });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Whether redis answers.
async fn ready(redis: Redis) -> Result<()> {
    let ping = query::<()>(&redis, redis::pipe().ping().ignore()).await;
    ping.context("redis is unavailable")
}

async fn query<T: FromRedisValue>(redis: &Redis, commands: &Pipeline) -> Result<T> {
    timeout(REDIS_TIMEOUT, redis.query(commands)).await?
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

async fn not_found() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "not found: the page is /index.html\n",
    )
}
