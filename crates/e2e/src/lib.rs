//! What the tests of the whole application share: the application on real containers, the
//! page in a real browser, and how to leave nothing behind.
//!
//! The tests themselves are in `tests/` and ignored by default, since they need a Docker engine, or
//! a browser.
// Not where there is no shell.
#![cfg(unix)]

pub mod browser;
pub mod cleanup;
pub mod command;
pub mod compose;
pub mod kubernetes;
pub mod swarm;

pub use command::{Running, docker, run, sh};

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Waits until `condition` holds, looking ten times a second, and returns how long it took. A look
/// that fails is one at which it does not hold.
///
/// # Errors
///
/// When it does not hold within `patience`; with the last failure, if there was one.
pub async fn until(
    patience: Duration,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let held = condition().await;
        if matches!(held, Ok(true)) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > patience {
            held?;
            return Err(anyhow::anyhow!("it does not hold"))
                .with_context(|| format!("waited for {patience:?}"));
        }
        sleep(Duration::from_millis(100)).await;
    }
}
