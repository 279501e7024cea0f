//! The guarantees of docs/limits.md: updates refuse no request, and redis keeps the counter.
//!
//!     cargo test -p e2e --test guarantees -- --ignored
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use e2e::{Namespace, Project, Stack, get, log, root, run, sh, until};

/// What takes seconds is over within that on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const WORKERS: usize = 10;
/// A hundred requests per second, by clients that send one request each second.
const CLIENTS: usize = 100;
const SECOND: Duration = Duration::from_secs(1);

// Fails with `--appendonly` alone, as redis ignores its snapshot then, with `--save ""`, and under
// Compose 1.29 without the volume in docker-compose.yml.
#[test]
#[ignore = "needs a Docker engine"]
fn the_append_only_file_is_enabled_without_losing_the_counter() {
    let [enable, recreate] = blocks("sh");
    let [command] = blocks("yaml");
    let project = Project::new("append-only");
    project.scale(1);
    project.webui().until_hashes(SOON, 10);

    // Without a worker, the counter is known.
    project.compose("up -d --scale worker=0");
    let redis = |command: &str| project.compose(&format!("exec -T redis redis-cli {command}"));
    let hashes = redis("get hashes");
    project.compose("restart redis");
    until(SOON, || redis("ping") == "PONG");
    assert_eq!(redis("get hashes"), hashes);
    run(&project.lab(&enable));
    project.set("redis", command.trim());
    let recreate = recreate.replace("up -d", "up -d --scale worker=0");
    run(&project.lab(&recreate));
    until(SOON, || redis("ping") == "PONG");
    assert_eq!(redis("get hashes"), hashes);

    // No snapshot has this.
    let hashes = redis("incrby hashes 1000");
    let container = project.containers("redis").remove(0);
    sh!("docker kill {container} && docker start {container}");
    until(SOON, || redis("ping") == "PONG");
    assert_eq!(redis("get hashes"), hashes);
}

// Fails with SHUTDOWN_DELAY=0.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn on_kubernetes_a_rolling_update_refuses_no_request() {
    let namespace = Namespace::new("rolling");
    namespace.apply();
    namespace.scale(WORKERS);
    namespace.webui().until_hashes(SOON, 100);
    let logs = || namespace.sh("kubectl logs --selector app=worker --tail -1");
    let failures = || logs().matches(log::RETRY).count();
    let before = failures();
    let errors = ["webui", "hasher"].map(|service| {
        let (requests, errors) = load(&url(&namespace, service), || {
            for _ in 0..3 {
                namespace.sh(&format!("kubectl rollout restart deployment {service}"));
                namespace.until_rolled_out(service);
            }
            // The last pod is still shutting down.
            sleep(Duration::from_secs(5));
        });
        println!("{service}: {requests} requests, {} failed", errors.len());
        errors
    });
    let failures = failures() - before;
    println!("{failures} units failed");
    assert!(errors.concat().is_empty(), "{errors:?}");
    assert_eq!(failures, 0);
}

/// The URL of a service: its `ClusterIP` or, outside of a cluster whose nodes are containers, through
/// the API server.
fn url(namespace: &Namespace, service: &str) -> String {
    let jsonpath = "-o jsonpath={.spec.clusterIP}";
    let address = namespace.sh(&format!("kubectl get service {service} {jsonpath}"));
    let address = format!("http://{address}/healthz");
    if sh!("curl -sm 5 {address} || true").is_empty() {
        namespace.url(&format!("services/{service}")) + "/healthz"
    } else {
        address
    }
}

/// Sends requests while `work` runs, and returns their number and the errors.
fn load(url: &str, work: impl FnOnce()) -> (usize, Vec<String>) {
    let done = &AtomicBool::new(false);
    scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| request_each_second(url, done)))
            .collect();
        work();
        done.store(true, Ordering::Relaxed);
        let results = clients.into_iter().map(|client| client.join().unwrap());
        let (requests, errors): (Vec<usize>, Vec<_>) = results.unzip();
        (requests.iter().sum(), errors.concat())
    })
}

/// One client: its number of requests, and the errors.
fn request_each_second(url: &str, done: &AtomicBool) -> (usize, Vec<String>) {
    let (mut requests, mut errors) = (0, Vec::new());
    // Not all clients at the same time.
    sleep(SECOND.mul_f64(fastrand::f64()));
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        errors.extend(get(url).err().map(|error| error.to_string()));
        requests += 1;
        sleep(SECOND.saturating_sub(start.elapsed()));
    }
    (requests, errors)
}

// Fails with five retries of the health check, and without the named volume.
#[test]
#[ignore = "needs a Docker engine"]
fn on_swarm_a_slow_redis_is_not_replaced_and_a_replaced_one_keeps_the_counter() {
    let stack = Stack::deploy("slow", "");
    let webui = stack.webui();
    webui.until_hashes(SOON, 100);
    let redis = stack.containers("redis");
    let hashes = webui.hashes();
    sh!("docker kill --signal STOP {}", redis[0]);
    sleep(Duration::from_secs(45));
    sh!("docker kill --signal CONT {} || true", redis[0]);
    webui.until_hashes(SOON, hashes);
    assert_eq!(stack.containers("redis"), redis);

    // Without a worker, the counter is known.
    sh!(
        "docker service scale --detach {}=0",
        stack.service("worker")
    );
    until(SOON, || stack.containers("worker").is_empty());
    let hashes = webui.hashes();
    stack.update("redis", "--force");
    until(SOON, || stack.update_state("redis") == "completed");
    assert_ne!(stack.containers("redis"), redis);
    until(SOON, || get(&format!("{}/json", webui.url)).is_ok());
    assert_eq!(webui.hashes(), hashes);
}

/// The blocks of a language in docs/limits.md.
#[track_caller]
fn blocks<const N: usize>(language: &str) -> [String; N] {
    let text = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let fence = format!("\n```{language}\n");
    let blocks = text.split(&fence).skip(1);
    let blocks: Vec<_> = blocks
        .map(|block| block.split_once("```").unwrap().0.to_owned())
        .collect();
    blocks.try_into().unwrap()
}
