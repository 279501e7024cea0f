//! The health check: `/healthz` waits in no queue and is not in the access log.

use std::time::Duration;

use anyhow::{Context, ensure};
use axum::{Router, routing::get};

/// Shorter than the timeout of the engine's health check, so that its log shows the reason.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn router() -> Router {
    Router::new().route("/healthz", get("ok\n"))
}

/// Sends one `GET` to `url`; any status but 2xx is an error. Proxies are ignored: the engine sets
/// their variables in every container.
pub(crate) async fn check(url: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(CHECK_TIMEOUT)
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
