//! worker as a process. What the services share is tested with rng.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use memory_redis::MemoryRedis;
use subprocess::{Command, Subprocess, check_version_and_help, code_and_stderr, command};
use tokio::net::TcpListener;

const WORKER: &str = env!("CARGO_BIN_EXE_worker");

const FIRST_UPDATE: &str = "INFO 0 units of work done, updating hash counter";

fn worker() -> Command {
    command(WORKER)
}

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let variables = [
        "[env: RNG_URL=] [default: http://rng]",
        "[env: HASHER_URL=] [default: http://hasher]",
        "[env: REDIS_URL] [default: redis://redis]",
        "[env: DELAY=] [default: 100ms]",
        "[env: METRICS_PORT=]",
    ];
    let about = "The loop: random bytes from rng, their digest from hasher, a count in redis\n";
    check_version_and_help(WORKER, about, &variables).await;
}

#[tokio::test]
async fn a_port_of_the_metrics_in_use_is_one_line_and_exit_code_2() {
    let taken = TcpListener::bind("[::]:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let result = code_and_stderr(worker().env("METRICS_PORT", port.to_string())).await;
    let line = format!(
        "worker: port {port} is taken: stop the program that listens on it, or set METRICS_PORT to another\n"
    );
    assert_eq!(result, (Some(2), line));
}

// Kubernetes sets it in pods beside a Service that is called metrics.
#[tokio::test]
async fn a_url_as_the_port_of_the_metrics_is_ignored() {
    let mut worker = Subprocess::spawn(worker().env("METRICS_PORT", "tcp://10.0.0.1:80"));
    assert_eq!(worker.line().await, FIRST_UPDATE);
}

#[tokio::test]
async fn a_failure_is_logged_with_each_cause_once_and_without_a_password() {
    let refused = "Connection refused (os error ";
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let redis = MemoryRedis::start().await.unwrap();
    for (redis, failure) in [
        (
            "redis://no-such-host.invalid",
            "connect to no-such-host.invalid:6379: failed to lookup address information: ",
        ),
        (
            "redis://:secret@127.0.0.1:1",
            &format!("connect to 127.0.0.1:1: {refused}"),
        ),
        (
            &format!("redis://:secret@{silent}"),
            &format!("connect to {silent}: timed out"),
        ),
        (
            &redis.url(),
            "get random bytes: cannot connect to no-such-host.invalid:80: failed to lookup address information: ",
        ),
    ] {
        let environment = [
            ("REDIS_URL", redis),
            ("RNG_URL", "http://no-such-host.invalid"),
        ];
        let mut worker = Subprocess::spawn(worker().envs(environment));
        assert_eq!(worker.line().await, FIRST_UPDATE);
        let line = worker.line().await;
        let end = line.strip_prefix(&format!("ERROR cannot {failure}"));
        assert!(end.is_some_and(|end| !end.contains(": ")), "{line}");
        assert_eq!(worker.line().await, "INFO Waiting 0.5s and restarting.");
    }
}

#[tokio::test]
async fn neither_help_nor_an_error_prints_the_password_of_redis() {
    for (url, arguments, printed) in [
        ("redis://:secret@redis", &["--help"][..], "REDIS_URL"),
        (
            "redis:/:secret@redis",
            &[],
            "invalid value '...@redis' for ",
        ),
    ] {
        let output = worker()
            .env("REDIS_URL", url)
            .args(arguments)
            .output()
            .await;
        let output = output.unwrap();
        let output = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.contains(printed), "{output}");
        assert!(!output.contains("secret"), "{output}");
    }
}
