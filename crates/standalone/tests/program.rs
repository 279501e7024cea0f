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
async fn version_and_help_print_what_it_is_and_its_variables() {
    let variables = [
        "[default: 1]",
        "[default: 8000]",
        "[env: ADDRESS=] [default: 127.0.0.1]",
        "[env: REDIS_URL]",
        "[env: DELAY=] [default: 100ms]",
        "[env: FILES=] [default: webui/files]",
    ];
    let about = "The whole application in one process, without Docker\n";
    check_version_and_help(STANDALONE, about, &variables).await;
}

#[tokio::test]
async fn it_runs_workers_on_three_ports_until_term_and_prefixes_its_log() {
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
async fn an_invalid_argument_or_a_port_in_use_is_named_with_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    let workers = "error: invalid value 'many' for '--workers <WORKERS>': ";
    let port = "error: invalid value '65534' for '--port <PORT>': ";
    let in_use = format!("standalone: port {taken} is taken: ");
    for (arguments, error) in [
        (["--workers", "many"], workers),
        (["--port", "65534"], port),
        (["--port", &taken], &in_use),
    ] {
        let (code, stderr) = code_and_stderr(standalone().args(arguments)).await;
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(stderr.starts_with(error), "{stderr}");
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
        let spans = line["spans"].as_array().into_iter().flatten();
        let span = |field| spans.clone().find_map(|span| span[field].as_str());
        if let Some(trace) = span("trace_id") {
            let event = line["path"].as_str().or(line["message"].as_str());
            let event = format!("{}: {}", span("service").unwrap(), event.unwrap());
            traces.entry(trace.to_owned()).or_default().push(event);
        }
    }
    for worker in ["worker_1", "worker_2"] {
        let unit = [
            &format!("{worker}: Doing one unit of work"),
            "rng: /32",
            "hasher: /",
            &format!("{worker}: No coin found"),
        ];
        let units = traces.values().filter(|events| **events == unit);
        assert!(units.count() > 5, "{worker}: {traces:#?}");
    }
}
