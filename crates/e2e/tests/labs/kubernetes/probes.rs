//! Probes that wait in the queue of rng.

use std::time::Duration;

use e2e::{Running, lab, until};
use serde_json::Value;

use super::{assert_step, reachable, start};
use crate::WORKER_SPEED;

/// Several failures of a probe take that long.
const CYCLE: Duration = Duration::from_secs(180);

/// "A liveness probe with a timeout of one second. Load it: three failures, and rng is restarted, and
/// again."
// Fails when / does not wait in rng's queue.
#[test]
#[ignore = "needs a Kubernetes cluster and ab, and builds the images"]
fn k15_a_liveness_probe_under_load_restarts_rng_again_and_again() {
    let namespace = start("k15", 1);
    let [probe, load, _] = lab::blocks("K15");
    namespace.sh(&probe);
    let restarts = || {
        let pods = namespace.get("pods -l app=rng");
        let restarts = pods
            .iter()
            .filter_map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64());
        restarts.sum::<u64>()
    };
    assert_step(&namespace.webui(), WORKER_SPEED);
    assert_eq!(restarts(), 0);

    let _load = Running::start(namespace.command(&reachable(&namespace, &load)));
    let after = until(CYCLE, || restarts() >= 2);
    println!("restarted twice after {after:.0?}");
}

/// "An image that is not rng never gets ready, and so gets no traffic. And with fifteen workers or
/// more, rng is in and out of its Service."
// Fails when / does not wait in rng's queue, and with maxUnavailable: 1.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k16_a_pod_that_is_not_ready_gets_no_traffic() {
    let namespace = start("k16", 1);
    let [probe, wrong, workers, _] = lab::blocks("K16");
    namespace.sh(&probe);
    namespace.sh(&wrong);
    let pods = namespace.get("pods -l app=rng");
    let is_ready = |of: bool| {
        let ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == of;
        pods.iter().filter(ready).count()
    };
    assert_eq!((is_ready(true), is_ready(false)), (1, 1), "{pods:?}");
    assert_step(&namespace.webui(), WORKER_SPEED);

    let endpoints = Running::start(namespace.command(&workers));
    let after = endpoints.until(CYCLE, |printed| {
        let lines = printed.lines().filter(|line| line.starts_with("rng "));
        let in_service = lines.map(|line| line.contains(":80"));
        let mut turns: Vec<_> = in_service.collect();
        turns.dedup();
        turns.ends_with(&[true, false, true])
    });
    println!("in, out and in again after {after:.0?}");
}
