//! rng as the container engine runs it: a process with arguments, an environment and signals. What
//! the services share is tested here.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use rlimit::Resource;
use serde_json::Value;
use subprocess::{
    Command, Subprocess, check_version_and_help, code_and_stderr, command, free_port, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

const RNG: &str = env!("CARGO_BIN_EXE_rng");

fn rng() -> Command {
    command(RNG)
}

/// Connects and sends a request.
async fn send(port: u16, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

async fn read(mut client: TcpStream) -> String {
    let mut response = Vec::new();
    let read = timeout(Duration::from_secs(10), client.read_to_end(&mut response)).await;
    read.expect("no response").unwrap();
    String::from_utf8_lossy(&response).into_owned()
}

async fn healthcheck(port: u16, path: &str) -> (Option<i32>, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    code_and_stderr(rng().args(["healthcheck", &url])).await
}

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let variables = [
        "[env: PORT=] [default: 80]",
        "[env: DELAY=] [default: 100ms]",
        "[env: DEBUG=] [default: n]",
        "[env: RUST_LOG=]",
        "[env: LOG_FORMAT=] [default: text]",
        "[env: IGNORE_SIGTERM=] [default: n]",
    ];
    let about = "Random bytes over HTTP, one request at a time\n";
    check_version_and_help(RNG, about, &variables).await;
}

#[tokio::test]
async fn an_invalid_variable_or_argument_is_named_with_what_is_expected_and_exit_code_2() {
    let line = |value, flag, expected| {
        format!("error: invalid value '{value}' for '--{flag}': it must be {expected}")
    };
    let port = |value| line(value, "port <PORT>", "a port number from 1 to 65535");
    let levels = "levels from off and error to debug and trace, such as info,worker=debug";
    let delay = "a time of at most one minute, such as 100ms, 2s or 0";
    for (name, value, error) in [
        ("PORT", "eighty", port("eighty")),
        ("DELAY", "100", line("100", "delay <DELAY>", delay)),
        (
            "RUST_LOG",
            "rng=loud",
            line("rng=loud", "rust-log <RUST_LOG>", levels),
        ),
        (
            "LOG_FORMAT",
            "yaml",
            line("yaml", "log-format <LOG_FORMAT>", "text or json"),
        ),
        (
            "DEBUG",
            "maybe",
            "error: invalid value 'maybe' for '--debug <DEBUG>'".into(),
        ),
        (
            "IGNORE_SIGTERM",
            "TERM",
            "error: invalid value 'TERM' for".into(),
        ),
    ] {
        let (code, stderr) = code_and_stderr(rng().env(name, value)).await;
        assert_eq!(code, Some(2), "{name}");
        assert!(stderr.starts_with(&error), "{stderr}");
    }
    let (code, stderr) = code_and_stderr(rng().args(["--port", "0"])).await;
    assert!(
        code == Some(2) && stderr.starts_with(&port("0")),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_flag_overrides_a_variable_and_an_empty_variable_is_unset() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut rng = rng();
    rng.args(["--port", &port.to_string()]).env("PORT", "1");
    for empty in ["DELAY", "DEBUG", "RUST_LOG", "LOG_FORMAT", "IGNORE_SIGTERM"] {
        rng.env(empty, "");
    }
    let line = format!(
        "rng: port {port} is taken: stop the program that listens on it, or set PORT to another\n"
    );
    assert_eq!(code_and_stderr(&mut rng).await, (Some(2), line));
}

#[tokio::test]
async fn the_access_log_is_in_the_common_log_format_with_the_seconds() {
    let (mut rng, port) = serve(&mut rng()).await;
    read(send(port, "GET /32 HTTP/1.0\r\n\r\n").await).await;
    let line = rng.line().await;
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let (_, rest) = line.split_once(" +0000] ").unwrap();
    let seconds = rest.strip_prefix("\"GET /32 HTTP/1.0\" 200 32 ").unwrap();
    assert_eq!(seconds.len(), "0.1011".len());
    assert!(seconds.parse::<f64>().unwrap() >= 0.1, "{seconds}");
    // A response without a body, and a path whose quotation mark would end its field early.
    read(send(port, "HEAD /\" HTTP/1.1\r\nhost: rng\r\n\r\n").await).await;
    let line = rng.line().await;
    assert!(line.contains("] \"HEAD /%22 HTTP/1.1\" 404 - 0."), "{line}");
}

#[tokio::test]
async fn the_log_as_json_has_the_request_and_its_trace() {
    let (mut rng, port) = serve(rng().env("LOG_FORMAT", "json")).await;
    let id = "0af7651916cd43dd8448eb211c80319c";
    for (path, status, trace) in [
        ("/32", 200, id),
        ("/1\"2\\", 404, id),
        // Not a trace: a new one begins.
        ("/%0a{\"level\":", 404, "0"),
    ] {
        let traceparent = format!("traceparent: 00-{trace}-b7ad6b7169203331-01");
        let request = format!("GET {path} HTTP/1.1\r\nhost: rng\r\n{traceparent}\r\n\r\n");
        read(send(port, &request).await).await;
        let line: Value = serde_json::from_str(&rng.line().await).unwrap();
        for (field, value) in [
            ("level", "INFO"),
            ("target", "access"),
            ("method", "GET"),
            ("path", path),
            ("client", "127.0.0.1"),
        ] {
            assert_eq!(line[field], value, "{line}");
        }
        assert_eq!(line["status"], status);
        assert!(
            line["bytes"].as_u64() >= Some(32) && line["seconds"].is_f64(),
            "{line}"
        );
        let span = &line["spans"][0];
        assert_eq!(span["name"], "request");
        let logged = span["trace_id"].as_str().unwrap();
        assert_eq!(logged == trace, trace == id, "{line}");
        assert_eq!(logged.len(), id.len());
    }
}

#[tokio::test]
async fn a_reader_of_the_log_that_stops_reading_stops_nothing() {
    let (mut rng, port) = serve(rng().env("DELAY", "0")).await;
    let get =
        async |path: &str| read(send(port, &format!("GET {path} HTTP/1.0\r\n\r\n")).await).await;
    // More lines than the pipe holds, then more than the queue.
    for _ in 0..6000 {
        assert!(get("/1").await.contains("200 OK"));
    }
    let dropped = metric(port, "log_lines_dropped_total").await;
    assert!(dropped > 0);

    // Once the log is read again, it says how much of it is missing.
    let warning = loop {
        let line = rng.line().await;
        if !line.ends_with(|digit: char| digit.is_ascii_digit()) {
            break line;
        }
    };
    let missing = format!("WARN {dropped} lines of the log were dropped: ");
    assert!(warning.starts_with(&missing), "{warning}");
    // Only once.
    get("/1").await;
    let line = rng.line().await;
    assert!(!line.starts_with("WARN "), "{line}");

    for _ in 0..1500 {
        get("/1").await;
    }
    let start = Instant::now();
    rng.signal("TERM").await;
    assert_eq!(rng.exit_code().await, Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn the_health_check_bypasses_the_queue_and_the_log_and_fails_without_a_2xx_response() {
    let (mut rng, port) = serve(rng().env("DELAY", "60s")).await;
    let (code, error) = healthcheck(port, "/abc").await;
    assert_eq!(code, Some(1));
    assert!(error.ends_with(" answers 404 Not Found\n"), "{error}");
    let _queued = send(port, "GET /32 HTTP/1.1\r\nhost: rng\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    let healthy = (Some(0), String::new());
    assert_eq!(healthcheck(port, "/healthz").await, healthy);
    rng.signal("TERM").await;
    let lines = [rng.line().await, rng.line().await];
    assert!(lines[0].contains("GET /abc "), "{lines:?}");
    assert_eq!(lines[1], "INFO SIGTERM received, shutting down");
    rng.exit_code().await;
    let (code, error) = healthcheck(port, "/healthz").await;
    assert_eq!(code, Some(1));
    let start = format!("rng: no answer from \"http://127.0.0.1:{port}/healthz\": Connection ref");
    assert!(
        error.starts_with(&start) && error.lines().count() == 1,
        "{error}"
    );
}

#[tokio::test]
async fn term_and_int_shut_it_down_gracefully_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let (mut rng, port) = serve(rng().env("DELAY", "60s")).await;
        let client = send(port, "GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n").await;
        sleep(Duration::from_millis(100)).await;
        rng.signal(signal).await;
        assert_eq!(rng.exit_code().await, Some(0));
        assert!(read(client).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn a_build_without_exporter_warns_of_an_endpoint_for_spans() {
    let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    // The first line says where it listens.
    serve(rng().env(variable, "")).await;
    let mut warned = rng();
    warned.env("PORT", free_port().to_string());
    let mut warned = Subprocess::spawn(warned.env(variable, "http://jaeger:4318"));
    let warning = warned.line().await;
    let start = "WARN OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build sends no spans: ";
    assert!(warning.starts_with(start), "{warning}");
}

#[tokio::test]
async fn with_ignore_sigterm_only_int_shuts_it_down() {
    let (mut rng, _) = serve(rng().env("IGNORE_SIGTERM", "y")).await;
    for _ in 0..2 {
        rng.signal("TERM").await;
        let ignored = "INFO SIGTERM ignored, because IGNORE_SIGTERM is set";
        assert_eq!(rng.line().await, ignored);
    }
    rng.signal("INT").await;
    assert_eq!(rng.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_exit_code_130() {
    let (mut rng, port) = serve(&mut rng()).await;
    // A graceful shutdown waits for a client that does not read, as the response does not fit into
    // the buffers of the kernel.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let request = b"GET /1048576 HTTP/1.1\r\nhost: rng\r\n\r\n";
    client.write_all(request).await.unwrap();
    assert!(rng.line().await.contains("GET /1048576"));
    rng.signal("TERM").await;
    assert_eq!(rng.line().await, "INFO SIGTERM received, shutting down");
    rng.signal("TERM").await;
    assert_eq!(rng.exit_code().await, Some(130));
}

#[tokio::test]
async fn after_term_it_serves_but_is_not_ready_until_the_shutdown_delay_is_over() {
    let (mut rng, port) = serve(rng().env("SHUTDOWN_DELAY", "1s")).await;
    let get =
        async |path: &str| read(send(port, &format!("GET {path} HTTP/1.0\r\n\r\n")).await).await;
    assert!(get("/readyz").await.contains(" 200 "));
    rng.signal("TERM").await;
    let start = Instant::now();
    assert_eq!(rng.line().await, "INFO SIGTERM received, shutting down");
    assert!(get("/readyz").await.contains(" 503 "));
    assert!(get("/1").await.contains(" 200 "));
    assert_eq!(rng.exit_code().await, Some(0));
    let time = start.elapsed();
    assert!((1.0..2.0).contains(&time.as_secs_f64()), "{time:?}");
}

// Fails with 4,000 connections, and with 400 where there are 200 descriptors.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn idle_connections_take_at_most_400_descriptors_and_starve_no_client() {
    for (files, limit) in [(200, 200), (4000, 450)] {
        let mut command = command("sh");
        command.args(["-c", &format!("ulimit -n {files} && exec {RNG}")]);
        let (_rng, port) = serve(command.env("DELAY", "0")).await;
        let mut idle = JoinSet::new();
        for n in 0..limit + 50 {
            let mut client = send(port, "").await;
            idle.spawn(async move {
                loop {
                    // Ends when rng evicts it, with an error if it is reset.
                    let _ = client.read(&mut [0]).await;
                    sleep(Duration::from_millis(n)).await;
                    client = send(port, "").await;
                }
            });
        }
        // More for a moment, until the runtime has closed the evicted ones.
        let mut open_files = u64::MAX;
        for _ in 0..10 {
            sleep(Duration::from_millis(100)).await;
            let start = Instant::now();
            open_files = open_files.min(metric(port, "process_open_fds").await);
            let time = start.elapsed();
            assert!(time < Duration::from_secs(1), "{files}: {time:?}");
        }
        assert!(open_files < limit, "{files}: {open_files} open files");
    }
}

// Fails when a failed accept evicts no connection.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_a_free_descriptor_an_idle_connection_is_evicted() {
    let (rng, port) = serve(rng().env("DELAY", "0")).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(send(port, "").await);
    }
    let files = metric(port, "process_open_fds").await - 5;
    let id = rng.id().try_into().unwrap();
    rlimit::prlimit(id, Resource::NOFILE, Some((files, files)), None).unwrap();
    let start = Instant::now();
    assert!(
        read(send(port, "GET /1 HTTP/1.0\r\n\r\n").await)
            .await
            .contains(" 200 ")
    );
    let time = start.elapsed();
    assert!(time < Duration::from_secs(5), "{time:?}");
}

// Fails without `TCP_USER_TIMEOUT`.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "waits twelve seconds for the timeout"]
async fn clients_that_do_not_read_take_little_memory_and_are_disconnected() {
    let (mut rng, port) = serve(rng().env("DELAY", "0")).await;
    let mut clients = Vec::new();
    for _ in 0..390 {
        clients.push(send(port, "GET /1048576 HTTP/1.0\r\n\r\n").await);
        assert!(rng.line().await.contains(" 200 1048576 "));
    }
    let memory = metric(port, "process_resident_memory_bytes").await >> 20;
    assert!(memory < 32, "{memory} MiB");
    assert!(metric(port, "process_open_fds").await > 390);
    sleep(Duration::from_secs(12)).await;
    assert!(metric(port, "process_open_fds").await < 50);
}

/// A metric of the process.
async fn metric(port: u16, name: &str) -> u64 {
    let metrics = read(send(port, "GET /metrics HTTP/1.0\r\n\r\n").await).await;
    let values = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.unwrap().parse().unwrap()
}
