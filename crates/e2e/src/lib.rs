//! The application under Compose, on Swarm and on Kubernetes, and its page in a real browser.
//!
//! A helper that fails panics at the line of the test that called it. All but [`browser`] block, so
//! that a test reads like the lab that it types.
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used
)]

pub mod browser;
mod cleanup;
mod command;
mod compose;
mod kubernetes;
pub mod log;
mod registry;
mod swarm;
mod webui;
pub mod yaml;

use std::{
    fmt::Display,
    path::Path,
    process,
    thread::sleep,
    time::{Duration, Instant},
};

pub use command::{Running, inspect, run, shell, try_run};
pub use compose::{COMPOSE, Project, registry};
pub use kubernetes::Namespace;
pub use registry::Registry;
pub use swarm::Stack;
pub use webui::Webui;

/// The services.
pub const SERVICES: [&str; 5] = ["hasher", "redis", "rng", "webui", "worker"];
/// Those that are built here.
pub const BUILT: [&str; 4] = ["hasher", "rng", "webui", "worker"];
/// Those that serve HTTP.
pub const HTTP_SERVICES: [&str; 3] = ["hasher", "rng", "webui"];

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A name that no other process uses.
fn unique(name: &str) -> String {
    format!("dockercoins-test-{name}-{}", process::id())
}

/// Waits until a condition holds, and returns how long that took.
#[track_caller]
pub fn until(timeout: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let unmet = "the condition does not hold";
    retry(timeout, || condition().then_some(()).ok_or(unmet))
}

/// Tries ten times a second until it succeeds, and returns how long that took.
#[track_caller]
fn retry<E: Display>(timeout: Duration, mut attempt: impl FnMut() -> Result<(), E>) -> Duration {
    let start = Instant::now();
    while let Err(error) = attempt() {
        assert!(start.elapsed() < timeout, "for {timeout:?}: {error:#}");
        sleep(Duration::from_millis(100));
    }
    start.elapsed()
}

/// The body that answers a GET.
pub fn get(url: &str) -> Result<String, ureq::Error> {
    let timeout = Some(Duration::from_secs(30));
    let request = ureq::get(url).config().timeout_global(timeout).build();
    request.call()?.body_mut().read_to_string()
}
