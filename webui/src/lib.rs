//! webui: the page, and the numbers that it draws.

mod config;

use std::{
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{CancellationToken, Redis};
use include_dir::{Dir, include_dir};
use serde::Serialize;
use tokio::{net::TcpListener, sync::Mutex, time::timeout};
use tower_http::services::ServeFile;
use tracing::warn;

pub use config::{Config, PROGRAM, files};

/// How long the page waits for its numbers: it asks again each second.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The page is made of its own files and nothing else, so an inline script in it does not run.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves on `listener` until `stop` is cancelled; `files` need not be there.
pub async fn run(
    listener: TcpListener,
    redis: redis::Client,
    files: PathBuf,
    stop: CancellationToken,
) {
    chassis::serve(listener, router(Redis::new(redis), files), stop).await;
}

fn router(redis: Redis, files: PathBuf) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/json", get(numbers))
        .route(
            "/{*path}",
            get(move |path, request| file(files, path, request)),
        )
        .fallback(not_found)
        .with_state(Arc::new(Mutex::new(redis)))
        .layer(map_response(with_headers))
}

async fn index() -> impl IntoResponse {
    (StatusCode::FOUND, [(header::LOCATION, "/index.html")])
}

/// What the page asks for once a second. It computes the speed itself.
#[derive(Debug, Serialize)]
struct Numbers {
    /// The entries of the wallet.
    coins: u64,
    /// The counter, as Redis keeps it: a string, or nothing before the first unit of work.
    hashes: Option<String>,
    /// Unix time in seconds.
    now: f64,
}

#[derive(Debug, Serialize)]
struct Failure {
    error: String,
}

async fn numbers(State(redis): State<Arc<Mutex<Redis>>>) -> Response {
    let ask = async {
        let mut redis = redis.lock().await;
        redis
            .query(redis::pipe().hlen("wallet").get("hashes"))
            .await
    };
    let answer = timeout(PATIENCE, ask)
        .await
        .unwrap_or_else(|elapsed| Err(elapsed.into()));
    match answer {
        Ok((coins, hashes)) => json(
            StatusCode::OK,
            &Numbers {
                coins,
                hashes,
                now: now(),
            },
        ),
        Err(error) => {
            warn!("no numbers for the page: {error:#}");
            let error = format!("redis is away: {error:#}");
            json(StatusCode::SERVICE_UNAVAILABLE, &Failure { error })
        }
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// An edit shows at the next reload, and the page takes nothing from anywhere else.
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

/// What lies on disk comes first, so that an edit shows at the next reload. What is not there, or
/// cannot be read, comes from the program.
async fn file(
    files: PathBuf,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What is not UTF-8 is the name of no file of ours.
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

/// The file of this name, if it lies in `files`: neither `..` nor a link leads out of there. What is
/// no file, such as a pipe, could be read for ever.
fn file_within(files: &FilePath, name: &str) -> Option<PathBuf> {
    let file = files.join(name).canonicalize().ok()?;
    let metadata = file.metadata().ok()?;
    // An HTTP date begins in 1970, and tower-http panics over an older file.
    let has_http_date = metadata.modified().ok()? >= SystemTime::UNIX_EPOCH;
    let within = file.starts_with(files.canonicalize().ok()?);
    (within && metadata.is_file() && has_http_date).then_some(file)
}

/// The copy of `files/` in the program: the page loads also where there is no volume, such as on a
/// remote engine.
static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/files");

async fn embedded_file(path: &str) -> Response {
    match FILES.get_file(path) {
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
