//! What the workshop's labs say one will see, each as a test.
//!
//!     cargo test -p e2e --test claims -- --ignored
//!
//! The list of the tests is the list of the claims; what a class is told stands above each.
//! `COMPOSE=docker-compose` takes Compose 1.29 in place of `docker compose`. Most of the time the
//! tests wait, so `--test-threads 8` is quicker; `--show-output` shows what they measured.
//!
//! They need a Docker engine, and the clients that the labs use: on Debian, `apt install httping
//! apache2-utils curl`. Those that look at the page need Chromium and its driver too.
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod compose;
mod kubernetes;
mod page;
mod swarm;

use std::{fmt::Debug, sync::OnceLock, time::Duration};

use anyhow::Result;
use e2e::compose::Project;

/// Hashes a second of one worker: a unit of work sleeps 100 ms itself, and as long at rng and at
/// hasher.
const OF_A_WORKER: f64 = 1.0 / 0.3;

/// Hashes a second that one rng allows, 100 ms each and one at a time.
const OF_AN_RNG: f64 = 10.0;

/// Long enough for a mean: a count is off by an update at most.
const LONG: Duration = Duration::from_secs(30);

/// What is to come within seconds has come by then, on a machine that is busy.
const SOON: Duration = Duration::from_secs(40);

/// An application with one worker, for all tests that only look.
async fn one_worker() -> &'static Project {
    static PROJECT: OnceLock<Project> = OnceLock::new();
    running(&PROJECT, 1).await
}

/// An application with ten workers, for all tests that only look.
async fn ten_workers() -> &'static Project {
    static PROJECT: OnceLock<Project> = OnceLock::new();
    running(&PROJECT, 10).await
}

async fn running(project: &'static OnceLock<Project>, workers: usize) -> &'static Project {
    let project = project.get_or_init(|| {
        let project = Project::new(&format!("with-{workers}")).unwrap();
        project.scale(workers).unwrap();
        project
    });
    project.until_all_work().await.unwrap();
    project
}

/// Measures up to three times, until it is as the claim says: a machine that is busy is slow for a
/// while, an application that is broken is so each time.
async fn measure<T: Debug>(
    claim: &str,
    mut measure: impl AsyncFnMut() -> Result<T>,
    is_as_claimed: impl Fn(&T) -> bool,
) -> T {
    let mut others = Vec::new();
    while others.len() < 3 {
        let measured = measure().await.unwrap();
        println!("{claim}: {measured:.3?}");
        if is_as_claimed(&measured) {
            return measured;
        }
        others.push(measured);
    }
    panic!("{claim} measured three times: {others:.3?}");
}
