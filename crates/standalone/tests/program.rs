//! standalone as a process.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
};

use serde_json::Value;
use subprocess::{
    Command, Subprocess, check_version_and_help, code_and_stderr, command, free_port,
};

const STANDALONE: &str = env!("CARGO_BIN_EXE_standalone");

fn standalone() -> Command {
    command(STANDALONE)
}

#[tokio::test]
async fn version_and_help_print_what_it_is_with_its_arguments_and_variables() {
    let version = concat!("standalone ", env!("CARGO_PKG_VERSION"));
    let lines = [
        ": the whole application in one process, without Docker\n",
        "  --workers NUMBER       the number of workers [default: 1]\n",
        "  --port PORT            the port of webui; rng and hasher use the next two [default: 8000]\n",
        "  REDIS_URL      the URL of redis; ",
        "  DELAY          the simulated work, such as 250ms or 1s; 0 means none [default: 100ms]\n",
        "  FILES          the directory of the page; ",
    ];
    check_version_and_help(STANDALONE, version, &lines).await;
}

#[tokio::test]
async fn it_runs_so_many_workers_on_three_ports_until_term() {
    // Another process may take one of the ports first.
    for _ in 0..10 {
        let port = free_port().min(65533);
        let [rng, hasher] = [port + 1, port + 2].map(|port| format!("http://127.0.0.1:{port}"));
        let arguments = ["--workers", "2", "--port", &port.to_string()];
        let mut process = Subprocess::spawn(standalone().args(arguments));
        let Some(line) = process.next_line().await else {
            continue;
        };
        let start = format!("INFO DockerCoins: 2 workers, rng on {rng}, hasher on {hasher}, ");
        assert!(line.starts_with(&start), "{line}");
        let line = process.line().await;
        let start = format!("INFO Open http://127.0.0.1:{port}/ in a browser");
        assert!(line.starts_with(&start), "{line}");
        let mut services = BTreeSet::new();
        while services.len() < 5 {
            let line = process.line().await;
            services.insert(line.split_once('|').unwrap().0.trim_end().to_owned());
        }
        let expected = ["hasher", "rng", "webui", "worker_1", "worker_2"];
        assert_eq!(services, BTreeSet::from(expected.map(str::to_owned)));
        process.signal("TERM").await;
        assert_eq!(process.exit_code().await, Some(0));
        return;
    }
    panic!("it does not start");
}

#[tokio::test]
async fn an_invalid_argument_or_variable_is_one_line_and_exit_code_2() {
    for (arguments, value) in [
        (["--workers", "many"], "many"),
        (["--workers", "-1"], "-1"),
        (["--port", "0"], "0"),
        (["--port", "65534"], "65534"),
        (["--speed", "10"], "--speed"),
        (["run", "it"], "run"),
    ] {
        let (code, error) = code_and_stderr(standalone().args(arguments)).await;
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(error.starts_with("standalone: "), "{error}");
        assert!(
            error.contains(value) && error.lines().count() == 1,
            "{error}"
        );
    }
    let line = "standalone: DELAY is \"100\", but it must be a time of at most one minute, such as 100ms, 2s or 0\n";
    let result = code_and_stderr(standalone().env("DELAY", "100")).await;
    assert_eq!(result, (Some(2), line.to_owned()));
}

#[tokio::test]
async fn a_port_in_use_is_one_line_and_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let first = port.min(65533).to_string();
    let line = format!(
        "standalone: port {port} is taken: stop the program that listens on it, or set --port to another\n"
    );
    for backtrace in ["0", "1"] {
        let command = &mut standalone();
        command.env("RUST_BACKTRACE", backtrace);
        let result = code_and_stderr(command.args(["--port", &first])).await;
        assert_eq!(result, (Some(2), line.clone()));
    }
}

#[tokio::test]
async fn the_trace_of_a_unit_is_in_the_logs_of_three_services() {
    let port = free_port().min(65533).to_string();
    let environment = [
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "info,worker=debug"),
        ("DELAY", "5ms"),
    ];
    let arguments = ["--workers", "2", "--port", &port];
    let mut process = Subprocess::spawn(standalone().args(arguments).envs(environment));
    let mut traces = BTreeMap::<String, Vec<String>>::new();
    for _ in 0..200 {
        let line: Value = serde_json::from_str(&process.line().await).unwrap();
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        if line["trace_id"].is_string() {
            let event = if line["target"] == "access" {
                "path"
            } else {
                "message"
            };
            let event = format!("{}: {}", text("service"), text(event));
            traces.entry(text("trace_id")).or_default().push(event);
        }
    }
    let unit = |worker: &str| {
        let unit = [
            "worker: Doing one unit of work",
            "rng: /32",
            "hasher: /",
            "worker: No coin found",
        ];
        unit.map(|event| event.replace("worker", worker)).to_vec()
    };
    for worker in ["worker_1", "worker_2"] {
        let units = traces.values().filter(|events| **events == unit(worker));
        assert!(units.count() > 5, "{worker}: {traces:#?}");
    }
}
