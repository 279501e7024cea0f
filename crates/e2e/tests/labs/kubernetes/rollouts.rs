//! Rollouts of worker.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use e2e::{Namespace, Running, lab, until};
use serde_json::Value;

use super::{SOON, assert_step, start_in};
use crate::RNG_SPEED;

/// Hashes/second of ten workers of v0.2, which take 2.2 s for a unit, and of ten with `DELAY=5s`.
const SLOW: f64 = 10.0 / 2.2;
const SLOWER: f64 = 10.0 / 5.2;

/// "Undo, and undo again: there and back. Any revision can be rolled back to. And a rollout can be
/// slow, and never have fewer pods than it should."
// Fails with maxUnavailable: 1 in the patch, without minReadySeconds, and when worker ignores DELAY.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k10_undo_goes_there_and_back_and_a_careful_rollout_keeps_ten_workers() {
    let namespace = start_in(Namespace::unrestricted("k10"), 1);
    let webui = namespace.webui();
    namespace.derive_worker("v0.2", "ENV DELAY=2s");
    let [third, undo, again, first, careful] = lab::blocks("K10");
    namespace.sh(&third);
    assert_step(&webui, SLOWER);
    namespace.sh(&undo);
    assert_step(&webui, SLOW);
    namespace.sh(&again);
    assert_step(&webui, SLOWER);
    let printed = namespace.sh(&first);
    let revisions = printed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let revisions: Vec<u8> = revisions.filter_map(|word| word.parse().ok()).collect();
    assert_eq!(revisions, [1, 4, 5], "{printed}");
    assert_step(&webui, RNG_SPEED);

    let start = Instant::now();
    let _watch = Running::start(namespace.command(&careful));
    let mut updated = 0;
    while start.elapsed() < Duration::from_secs(40) {
        let deployment = &namespace.get("deployments -l app=worker")[0];
        let count = |name: &str| deployment["status"][name].as_u64().unwrap_or(0);
        assert!(count("availableReplicas") >= 10, "{deployment}");
        updated = count("updatedReplicas");
        sleep(Duration::from_millis(500));
    }
    println!("replaced in 40 s: {updated}");
    assert!((2..=5).contains(&updated), "{updated}");
}

/// "Why does the graph stay up? worker ignores TERM: the old pods are there for 30 seconds more, and
/// go on working."
// Fails when IGNORE_SIGTERM is ignored.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k11_workers_that_ignore_term_go_on_for_30_s() {
    let namespace = start_in(Namespace::unrestricted("k11"), 1);
    let webui = namespace.webui();
    namespace.derive_worker("v0.2", "ENV DELAY=2s");
    let [ignore, rollout] = lab::blocks("K11");
    namespace.sh(&ignore);
    until(SOON, || namespace.running("worker").len() == 10);
    assert_step(&webui, RNG_SPEED);

    let start = Instant::now();
    namespace.sh(&rollout);
    let is_terminating = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_string();
    let terminating = || {
        namespace
            .running("worker")
            .iter()
            .filter(is_terminating)
            .count()
    };
    assert!(terminating() > 4, "they have exited");
    let speed = webui.speed(Duration::from_secs(8));
    println!("{speed:.2} hashes/second after {:.0?}", start.elapsed());
    assert!(speed > 0.75 * RNG_SPEED, "{speed}");
    until(SOON, || terminating() == 0);
    let time = start.elapsed();
    println!("the old ones are gone after {time:.0?}");
    assert!(time > Duration::from_secs(30), "{time:?}");
    assert_step(&webui, SLOW);
}
