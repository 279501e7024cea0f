//! rng as the container engine runs it: a process with arguments, an environment and signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{net::TcpListener, time::Duration};

use serde_json::Value;
use subprocess::{
    Command, Subprocess, check_version_and_help, code_and_stderr, command, free_port, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::sleep,
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

async fn healthcheck(port: u16, path: &str) -> (Option<i32>, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    code_and_stderr(rng().args(["healthcheck", &url])).await
}

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let version = concat!("rng ", env!("CARGO_PKG_VERSION"));
    let lines = [
        ": random bytes over HTTP, one request at a time\n",
        "  PORT           the port to listen on [default: 80]\n",
        "  DELAY          the simulated work, such as 250ms or 1s; 0 means none [default: 100ms]\n",
        "  DEBUG          ",
        "  RUST_LOG       ",
        "  LOG_FORMAT     json logs one JSON object per line [default: text]\n",
        "  IGNORE_SIGTERM ",
    ];
    check_version_and_help(RNG, version, &lines).await;
}

#[tokio::test]
async fn an_invalid_variable_or_argument_is_one_line_and_exit_code_2() {
    for (name, value, way_out) in [
        ("PORT", "http", "a port number from 1 to 65535"),
        (
            "DELAY",
            "100",
            "a time of at most one minute, such as 100ms, 2s or 0",
        ),
        ("DEBUG", "maybe", "y or n"),
        ("LOG_FORMAT", "yaml", "text or json"),
        ("IGNORE_SIGTERM", "TERM", "y or n"),
    ] {
        let line = format!("rng: {name} is {value:?}, but it must be {way_out}\n");
        assert_eq!(
            code_and_stderr(rng().env(name, value)).await,
            (Some(2), line)
        );
    }
    let line = "rng: invalid arguments \"--port 81\": it is configured by environment variables, see --help\n";
    let command = &mut rng();
    command.args(["--port", "81"]);
    assert_eq!(code_and_stderr(command).await, (Some(2), line.to_owned()));
}

#[tokio::test]
async fn a_port_in_use_is_one_line_and_exit_code_2() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let line = format!(
        "rng: port {port} is taken: stop the program that listens on it, or set PORT to another\n"
    );
    for backtrace in ["0", "1"] {
        let command = &mut rng();
        command.env("PORT", port.to_string());
        command.env("RUST_BACKTRACE", backtrace);
        assert_eq!(code_and_stderr(command).await, (Some(2), line.clone()));
    }
}

/// Skipped where port 80 is not privileged, as in the network namespace of a container.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_privileged_port_is_one_line_and_exit_code_2() {
    use std::{fs, os::unix::fs::MetadataExt};

    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim().parse::<u16>().unwrap() <= 80 {
        return;
    }
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let command = &mut if root { command("setpriv") } else { rng() };
    if root {
        let capability = "-net_bind_service";
        command.args(["--inh-caps", capability, "--bounding-set", capability, RNG]);
    }
    let line = "rng: port 80 is privileged: set PORT to one above 1023, such as 8080, \
                or the sysctl net.ipv4.ip_unprivileged_port_start to 0\n";
    assert_eq!(code_and_stderr(command).await, (Some(2), line.to_owned()));
}

#[tokio::test]
async fn it_listens_on_ipv4_and_on_ipv6() {
    let (_rng, port) = serve(&mut rng()).await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    // Where there is IPv6 at all.
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(TcpStream::connect(("::1", port)).await.is_ok());
    }
}

#[tokio::test]
async fn the_access_log_is_in_the_common_log_format_with_the_seconds() {
    let (mut rng, port) = serve(&mut rng()).await;
    let _client = send(port, "GET /32 HTTP/1.0\r\n\r\n").await;
    let line = rng.line().await;
    let (client_and_time, rest) = line.split_once(" +0000] ").unwrap();
    let time = client_and_time.strip_prefix("127.0.0.1 - - [").unwrap();
    // 23/Nov/2026:09:18:22
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    assert!(
        shape.starts_with("99/") && shape.ends_with("/9999:99:99:99"),
        "{line}"
    );
    let seconds = rest.strip_prefix("\"GET /32 HTTP/1.0\" 200 32 ").unwrap();
    assert_eq!(seconds.len(), "0.1011".len());
    assert!(seconds.parse::<f64>().unwrap() >= 0.1, "{seconds}");

    // A response without a body, and a path whose quotation mark would end its field early.
    let _client = send(port, "HEAD /\" HTTP/1.1\r\nhost: rng\r\n\r\n").await;
    let line = rng.line().await;
    assert!(line.contains("] \"HEAD /%22 HTTP/1.1\" 404 - 0."), "{line}");
}

#[tokio::test]
async fn the_health_check_bypasses_the_queue_and_is_not_logged() {
    let (mut rng, port) = serve(rng().env("DELAY", "60s")).await;
    let _queued = send(port, "GET /32 HTTP/1.1\r\nhost: rng\r\n\r\n").await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(
        healthcheck(port, "/healthz").await,
        (Some(0), String::new())
    );
    rng.signal("TERM").await;
    assert_eq!(rng.line().await, "INFO TERM: shutting down gracefully");
}

#[tokio::test]
async fn the_health_check_fails_without_a_2xx_response() {
    let (mut rng, port) = serve(&mut rng()).await;
    let (code, error) = healthcheck(port, "/no-such-path").await;
    assert_eq!(code, Some(1));
    assert!(error.ends_with(" answers 404 Not Found\n"), "{error}");
    rng.signal("KILL").await;
    rng.exit_code().await;
    let (code, error) = healthcheck(port, "/healthz").await;
    assert_eq!(code, Some(1));
    let start = format!("rng: no answer from \"http://127.0.0.1:{port}/healthz\": ");
    assert!(error.starts_with(&start), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test]
async fn term_and_int_shut_it_down_gracefully_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let (mut rng, port) = serve(rng().env("DELAY", "60s")).await;
        let mut client = send(port, "GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n").await;
        sleep(Duration::from_millis(100)).await;
        rng.signal(signal).await;
        assert_eq!(rng.exit_code().await, Some(0));
        let mut response = Vec::new();
        client.read_to_end(&mut response).await.unwrap();
        assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn with_ignore_sigterm_only_int_shuts_it_down() {
    let (mut rng, port) = serve(rng().env("IGNORE_SIGTERM", "y")).await;
    for _ in 0..2 {
        rng.signal("TERM").await;
        assert_eq!(
            rng.line().await,
            "INFO TERM: ignored, because IGNORE_SIGTERM is set"
        );
    }
    assert_eq!(healthcheck(port, "/healthz").await.0, Some(0));
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
    assert_eq!(rng.line().await, "INFO TERM: shutting down gracefully");
    rng.signal("TERM").await;
    assert_eq!(rng.exit_code().await, Some(130));
}

#[tokio::test]
async fn a_log_of_json_has_the_request_and_its_trace_and_is_json_whatever_is_requested() {
    let port = free_port();
    let environment = [("PORT", &*port.to_string()), ("LOG_FORMAT", "json")];
    let mut rng = Subprocess::spawn(rng().envs(environment));
    let mut line = async || -> Value { serde_json::from_str(&rng.line().await).unwrap() };
    let listening = line().await;
    assert_eq!(listening["message"], format!("Listening on [::]:{port}"));
    assert_eq!(listening["target"], "chassis::serve");

    let id = "0af7651916cd43dd8448eb211c80319c";
    let valid = format!("traceparent: 00-{id}-b7ad6b7169203331-01\r\n");
    for (path, status, header) in [
        ("/32", 200, &*valid),
        ("/1\"2\\", 404, "traceparent: \"\\\r\n"),
        ("/%0a{\"level\":", 404, "traceparent: \u{e9}\r\n"),
        ("/32", 200, "traceparent: 00-0-0-01\r\n"),
        ("/32", 200, ""),
    ] {
        let _client = send(
            port,
            &format!("GET {path} HTTP/1.1\r\nhost: rng\r\n{header}\r\n"),
        )
        .await;
        let line = line().await;
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["service"], "rng");
        assert_eq!(line["target"], "access");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["path"], path);
        assert_eq!(line["status"], status);
        assert_eq!(line["client"], "127.0.0.1");
        assert!(line["bytes"].as_u64() >= Some(32), "{line}");
        assert!(line["seconds"].is_f64(), "{line}");
        let request = format!("\"GET {} HTTP/1.1\" {status} ", path.replace('"', "%22"));
        assert!(
            line["message"].as_str().unwrap().contains(&request),
            "{line}"
        );
        let trace_id = (header == valid).then_some(id);
        assert_eq!(line.get("trace_id").and_then(Value::as_str), trace_id);
    }
}
