//! worker as a process. What the services share is tested with rng.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use memory_redis::MemoryRedis;
use subprocess::{Command, Subprocess, check_version_and_help, code_and_stderr, command};
use tokio::net::TcpListener;

const WORKER: &str = env!("CARGO_BIN_EXE_worker");

fn worker() -> Command {
    command(WORKER)
}

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let version = concat!("worker ", env!("CARGO_PKG_VERSION"));
    let lines = [
        ": the loop: random bytes from rng, digest from hasher, count in redis\n",
        "  RNG_URL        the URL of rng [default: http://rng]\n",
        "  HASHER_URL     the URL of hasher [default: http://hasher]\n",
        "  REDIS_URL      the URL of redis [default: redis://redis]\n",
        "  DELAY          the simulated work, such as 250ms or 1s; 0 means none [default: 100ms]\n",
        "  METRICS_PORT   the port that serves /metrics; if unset, none does\n",
    ];
    check_version_and_help(WORKER, version, &lines).await;
}

#[tokio::test]
async fn a_port_in_use_is_one_line_and_exit_code_2_and_without_one_several_workers_run() {
    let taken = TcpListener::bind("[::]:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let result = code_and_stderr(worker().env("METRICS_PORT", port.to_string())).await;
    let line = format!(
        "worker: port {port} is taken: stop the program that listens on it, or set METRICS_PORT to another\n"
    );
    assert_eq!(result, (Some(2), line));
    let mut workers = [(); 2].map(|()| Subprocess::spawn(&mut worker()));
    for worker in &mut workers {
        let update = "INFO 0 units of work done, updating hash counter";
        assert_eq!(worker.line().await, update);
    }
}

/// The first failure in the log, which must state each of its causes once.
async fn failure(worker: &mut Command) -> String {
    let mut worker = Subprocess::spawn(worker);
    let update = "INFO 0 units of work done, updating hash counter";
    assert_eq!(worker.line().await, update);
    let failure = worker.line().await;
    let causes: Vec<_> = failure.split(": ").collect();
    let distinct: HashSet<_> = causes.iter().collect();
    assert_eq!(causes.len(), distinct.len(), "{failure}");
    assert_eq!(worker.line().await, "INFO Waiting 0.5s and restarting.");
    failure
}

#[tokio::test]
async fn a_failure_is_logged_with_each_cause_once() {
    let unknown = "redis://no-such-host.invalid";
    let line = failure(worker().env("REDIS_URL", unknown)).await;
    let start = "ERROR cannot connect to redis: failed to lookup address information: ";
    assert!(line.starts_with(start), "{line}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let line = failure(worker().env("REDIS_URL", url)).await;
    assert_eq!(line, "ERROR cannot connect to redis: timed out");

    let redis = MemoryRedis::start().await.unwrap();
    let line = failure(worker().envs([
        ("REDIS_URL", redis.url().as_str()),
        ("RNG_URL", "http://127.0.0.1:1"),
    ]))
    .await;
    assert!(
        line.starts_with("ERROR cannot get random bytes: "),
        "{line}"
    );
    assert!(line.contains("Connection refused"), "{line}");
}
