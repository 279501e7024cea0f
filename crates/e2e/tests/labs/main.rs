//! The labs of the workshop: what a class is told stands above each test, what makes it fail too.
//!
//!     cargo test -p e2e --test labs -- --ignored
//!
//! `COMPOSE=docker-compose` takes Compose 1.29 in place of `docker compose`. Most of the time the
//! tests wait, so `--test-threads 8` is quicker; `--show-output` shows what they measured.
//!
//! They need a Docker engine, and the clients that the labs use: on Debian, `apt install httping
//! apache2-utils curl`. Those that look at the page need Chromium and its driver too, and those on
//! Kubernetes a cluster.
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod compose;
mod kubernetes;
mod page;

use std::{fmt::Debug, sync::LazyLock, thread, time::Duration};

use e2e::Project;

/// Hashes/second of one worker: a unit of work sleeps 100 ms itself, and as long at rng and at
/// hasher.
const WORKER_SPEED: f64 = 1.0 / 0.3;
/// Hashes/second that one rng allows, 100 ms each and one at a time.
const RNG_SPEED: f64 = 10.0;
/// Long enough for a mean: a count is off by an update at most.
const LONG: Duration = Duration::from_secs(30);
/// What takes seconds is over within that on a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// An application with one worker, shared by the tests that change nothing.
fn one_worker() -> &'static Project {
    static PROJECT: LazyLock<Project> = LazyLock::new(|| start("one-worker", 1));
    &PROJECT
}

/// An application with ten workers, shared by the tests that change nothing.
fn ten_workers() -> &'static Project {
    static PROJECT: LazyLock<Project> = LazyLock::new(|| start("ten-workers", 10));
    &PROJECT
}

/// An application with so many workers.
fn start(name: &str, workers: usize) -> Project {
    let project = Project::new(name);
    project.scale(workers);
    project
}

/// Measures up to three times, until the claim holds: a machine that is busy is slow for a while,
/// an application that is broken is so each time.
#[track_caller]
fn measure<T: Debug>(claim: &str, measure: impl Fn() -> T, holds: impl Fn(&T) -> bool) -> T {
    let mut others = Vec::new();
    while others.len() < 3 {
        let measured = measure();
        println!("{claim}: {measured:.3?}");
        if holds(&measured) {
            return measured;
        }
        others.push(measured);
    }
    panic!("{claim} measured three times: {others:.3?}");
}

/// Measures two things at the same time.
fn both<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        (one(), other.join().unwrap())
    })
}
