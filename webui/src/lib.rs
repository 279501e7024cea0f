//! webui: the page, and the counters that it plots.

mod config;

use std::{
    path::{Path as FilePath, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{CancellationToken, Metrics, Redis, chain};
use include_dir::{Dir, include_dir};
use redis::{FromRedisValue, Pipeline};
use serde::Serialize;
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};
use tower_http::services::ServeFile;
use tracing::warn;

pub use config::{Config, PROGRAM, files};

/// Response timeout of redis: `/json` answers within 2 s.
const REDIS_TIMEOUT: Duration = Duration::from_millis(1500);

/// The page loads its own files only; inline scripts and styles are blocked.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves on `listener` until `stop` is cancelled. `files` need not exist.
pub async fn run(
    listener: TcpListener,
    redis: redis::Client,
    files: PathBuf,
    stop: CancellationToken,
) {
    let redis = Redis::new(redis);
    let router = router(redis.clone(), files);
    let metrics = Metrics::new(&PROGRAM).ready(move || ready(redis.clone()));
    chassis::serve(listener, router, metrics, stop).await;
}

fn router(redis: Redis, files: PathBuf) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/json", get(counters))
        .route(
            "/{*path}",
            get(move |path, request| file(files, path, request)),
        )
        .fallback(not_found)
        .with_state(redis)
        .layer(map_response(with_headers))
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
            let error = chain(&error);
            warn!("no counters for the page: {error}");
            let body = json!({ "error": format!("redis is away: {error}") });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Whether redis answers.
async fn ready(redis: Redis) -> Result<()> {
    let ping = query::<()>(&redis, redis::pipe().ping().ignore()).await;
    ping.context("redis is away")
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

/// No caching: an edit shows at the next reload.
async fn with_headers(mut response: Response) -> Response {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Files on disk take precedence, so that an edit shows at the next reload. Missing or unreadable
/// ones are served from the program.
async fn file(
    files: PathBuf,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // None of our file names is invalid UTF-8.
    let Ok(Path(path)) = path else {
        return not_found().await.into_response();
    };
    if let Some(file) = file_within(&files, &path)
        && let Ok(response) = ServeFile::new(file).try_call(request).await
        && response.status() != StatusCode::NOT_FOUND
    {
        return response.into_response();
    }
    embedded_file(&path).await
}

/// The regular file of this name within `files`, without following `..` or links out of it. Reading
/// from a pipe could block.
fn file_within(files: &FilePath, name: &str) -> Option<PathBuf> {
    let file = files.join(name).canonicalize().ok()?;
    let metadata = file.metadata().ok()?;
    // tower-http panics on a modification time before 1970, which no HTTP date can express.
    let has_http_date = metadata.modified().ok()? >= SystemTime::UNIX_EPOCH;
    let within = file.starts_with(files.canonicalize().ok()?);
    (within && metadata.is_file() && has_http_date).then_some(file)
}

/// `files/` within the program, for when there is no volume, as on a remote engine.
static EMBEDDED: Dir = include_dir!("$CARGO_MANIFEST_DIR/files");

async fn embedded_file(path: &str) -> Response {
    match EMBEDDED.get_file(path) {
        Some(file) => {
            let kind = mime_guess::from_path(path).first_or_octet_stream();
            ([(header::CONTENT_TYPE, kind.as_ref())], file.contents()).into_response()
        }
        None => not_found().await.into_response(),
    }
}

async fn not_found() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "not found: the page is /index.html\n",
    )
}
