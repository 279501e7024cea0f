//! Without manifests, or with a hand in what they have made.

use std::time::Duration;

use e2e::{Namespace, lab, log, try_run, until};

use super::{SOON, assert_speed, assert_step, reachable, start, start_in};
use crate::{LONG, RNG_SPEED, WORKER_SPEED};

/// "No YAML: `kubectl create deployment` five times. rng is fine, worker complains. Then `kubectl
/// expose`, and within ten seconds it works."
// Fails when worker waits up to a minute, and when the programs ignore PORT.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k6_deployments_and_services_without_manifests() {
    let namespace = Namespace::unrestricted("k6");
    let [_, create, expose, other_port] = lab::blocks("K6");
    let logs = namespace.sh(&create);
    assert!(logs.contains("Listening on "), "{logs}");
    assert!(logs.contains("failed to lookup address"), "{logs}");

    namespace.sh(&expose);
    let webui = namespace.webui();
    // A pause of worker is 10 s at most, and an update comes a second after its first unit.
    webui.until_hashes(Duration::from_secs(20), 0);
    assert_speed(&webui, WORKER_SPEED);

    // What to type under containerd 1.x works elsewhere too.
    namespace.sh(&other_port);
    for service in ["rng", "hasher", "webui"] {
        namespace.until_rolled_out(service);
    }
    webui.until_speed(SOON, 0.75 * WORKER_SPEED);
}

/// "Two workers are twice as fast, three three times. Ten are not: rng takes 700 ms, hasher a few."
// Fails when rng serves several at a time.
#[test]
#[ignore = "needs a Kubernetes cluster and httping, and builds the images"]
fn k7_more_workers_are_faster_until_rng_takes_700_ms() {
    let namespace = start("k7", 1);
    let webui = namespace.webui();
    webui.until_hashes(SOON, 4);
    let [two, three, ten] = lab::blocks("K7");
    for (block, workers) in [(two, 2.0), (three, 3.0)] {
        namespace.sh(&block);
        namespace.until_rolled_out("worker");
        webui.until_speed(SOON, 0.85 * workers * WORKER_SPEED);
        assert_step(&webui, workers * WORKER_SPEED);
    }
    let printed = namespace.sh(&reachable(&namespace, &ten));
    let mut means = Vec::new();
    for line in printed.lines() {
        if let Some((_, times)) = line.split_once("round-trip min/avg/max = ") {
            means.push(times.split('/').nth(1).unwrap().parse::<f64>().unwrap());
        }
    }
    println!("ms at rng and at hasher: {means:?}");
    let &[rng, hasher] = &means[..] else {
        panic!("{printed}");
    };
    assert!((500.0..1000.0).contains(&rng) && rng / hasher > 10.0);
    assert_speed(&webui, RNG_SPEED);
}

/// "Change `kind:` to `DaemonSet`: there are fields that it does not have. Without them there are two
/// rngs, behind one Service."
// Fails with the label app=random in the DaemonSet.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k8_a_daemon_set_beside_the_deployment_lifts_the_speed_above_ten() {
    let namespace = start_in(Namespace::unrestricted("k8"), 10);
    let webui = namespace.webui();
    let [cast, create] = lab::blocks("K8");
    let refused = try_run(namespace.command(&cast)).unwrap_err();
    for field in ["replicas", "strategy"] {
        assert!(refused.contains(field), "{refused}");
    }
    assert_speed(&webui, RNG_SPEED);

    namespace.sh(&create);
    for kind in ["daemonsets", "deployments"] {
        assert_eq!(namespace.get(&format!("{kind} -l app=rng")).len(), 1);
    }
    webui.until_speed(SOON, 1.3 * RNG_SPEED);
    println!("two rngs: {:.2} hashes/second", webui.speed(LONG));
}

/// "A label for all pods, and in the selector of the Service: nothing changes. Take it from one pod:
/// it gets no request any more, and the graph goes on."
// Fails when worker keeps its connections, and with `app: rng` alone in the selector.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k9_a_pod_without_the_label_gets_no_requests() {
    let namespace = start_in(Namespace::unrestricted("k9"), 10);
    let webui = namespace.webui();
    // The block that is refused makes the file.
    let [cast, create] = lab::blocks("K8");
    try_run(namespace.command(&cast)).unwrap_err();
    namespace.sh(&create);
    webui.until_speed(SOON, 1.3 * RNG_SPEED);

    let [unquoted, quoted, take, restore] = lab::blocks("K9");
    try_run(namespace.command(&unquoted)).unwrap_err();
    namespace.sh(&quoted);
    webui.until_speed(SOON, 1.3 * RNG_SPEED);

    let printed = namespace.sh(&take);
    let lines: Vec<_> = printed.lines().collect();
    let &[.., before, after] = &lines[..] else {
        panic!("{printed}");
    };
    // With two rngs a request may have waited for another one or two.
    let access = log::RNG_ACCESS.trim_end_matches("0.1");
    assert!(before.contains(access), "{printed}");
    assert_eq!(before, after, "it still gets requests");
    assert_step(&webui, RNG_SPEED);

    namespace.sh(&restore);
    until(SOON, || namespace.running("rng").len() == 1);
}
