//! Is the service there? `/healthz` answers without waiting in rng's queue and without a line in
//! the access log.

use std::time::Duration;

use anyhow::{Context, ensure};
use axum::{Router, routing::get};

/// The path of the health check.
pub(crate) const PATH: &str = "/healthz";

/// How long the probe waits. Below the time that the engine gives it, so that the reason is in its
/// output.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn router() -> Router {
    Router::new().route(PATH, get("ok\n"))
}

/// Asks `url` once. A proxy that the engine puts into each container's environment must not answer
/// for the service.
pub(crate) async fn check(url: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()?;
    let status = client
        .get(url)
        .send()
        .await
        .with_context(|| format!("no answer from {url:?}"))?
        .status();
    ensure!(status.is_success(), "{url:?} answers {status}");
    Ok(())
}
