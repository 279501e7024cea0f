//! rng as the engine meets it: a process with arguments, an environment and signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

/// A test does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, and nothing of our own environment.
fn rng() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rng"));
    command.env_clear();
    command
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

struct Running {
    child: Child,
    log: Receiver<String>,
    port: u16,
}

impl Running {
    fn start(mut command: Command) -> Self {
        // Somebody else may take a free port before the program does.
        for _ in 0..10 {
            let running = Self::start_on(free_port(), &mut command);
            if let Ok(line) = running.log.recv_timeout(PATIENCE) {
                assert!(line.starts_with("INFO Listening on "), "{line}");
                return running;
            }
        }
        panic!("it does not start");
    }

    fn start_on(port: u16, command: &mut Command) -> Self {
        let child = command
            .env("PORT", port.to_string())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, log) = channel();
        spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, log, port }
    }

    /// The next line of the log.
    fn line(&self) -> String {
        self.log.recv_timeout(PATIENCE).expect("a line of the log")
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// Connects so that an answer of a mebibyte does not fit into the kernel.
    fn connect_without_buffer(&self) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        socket.connect(&address.into()).unwrap();
        socket.into()
    }

    fn healthcheck(&self, path: &str) -> Output {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        rng().args(["healthcheck", &url]).output().unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// How it ended; a test whose program does not end fails.
    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("it did not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_lists_the_variables_with_their_defaults() {
    let output = rng().arg("--help").output().unwrap();
    assert!(output.status.success());
    for line in [
        "  PORT           the port to listen on [default: 80]\n",
        "  DELAY          the simulated work, such as 250ms or 1s; 0 means none [default: 100ms]\n",
        "  DEBUG          ",
        "  RUST_LOG       ",
        "  IGNORE_SIGTERM ",
    ] {
        assert!(text(&output.stdout).contains(line), "{line}");
    }
}

#[test]
fn version_says_the_version() {
    let output = rng().arg("--version").output().unwrap();
    assert_eq!(
        text(&output.stdout),
        concat!("rng ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn what_is_not_valid_ends_it_at_once_with_one_line_and_code_2() {
    for (name, value, way_out) in [
        ("PORT", "http", "a port number from 1 to 65535"),
        (
            "DELAY",
            "100",
            "a time of at most one minute, such as 100ms, 2s or 0",
        ),
        ("DEBUG", "maybe", "y or n"),
        ("IGNORE_SIGTERM", "TERM", "y or n"),
    ] {
        let output = rng().env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let line = format!("rng: {name} is {value:?}, but it must be {way_out}\n");
        assert_eq!(text(&output.stderr), line);
        assert_eq!(text(&output.stdout), "");
    }
    let output = rng().args(["--port", "81"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line =
        "rng: cannot understand \"--port 81\": it is configured by its environment, see --help\n";
    assert_eq!(text(&output.stderr), line);
}

#[test]
fn a_port_that_is_taken_gives_one_line_that_says_what_to_do() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = rng().env("PORT", port.to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line =
        format!("Error: port {port} is taken: stop what listens there, or set PORT to another\n");
    assert_eq!(text(&output.stderr), line);
}

#[test]
fn it_listens_on_ipv4_and_on_ipv6() {
    let rng = Running::start(rng());
    assert!(TcpStream::connect(("127.0.0.1", rng.port)).is_ok());
    // Where there is IPv6 at all.
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(TcpStream::connect(("::1", rng.port)).is_ok());
    }
}

#[test]
fn the_access_log_is_in_the_common_log_format_with_the_seconds() {
    let rng = Running::start(rng());
    let mut client = rng.connect();
    client.write_all(b"GET /32 HTTP/1.0\r\n\r\n").unwrap();
    let line = rng.line();
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

    // An answer without a body, and a path that would end its field early.
    let mut client = rng.connect();
    client
        .write_all(b"HEAD /\" HTTP/1.1\r\nhost: rng\r\n\r\n")
        .unwrap();
    assert!(rng.line().contains("] \"HEAD /%22 HTTP/1.1\" 404 - 0."));
}

#[test]
fn the_health_check_does_not_wait_in_the_queue_and_is_not_logged() {
    let mut slow = rng();
    slow.env("DELAY", "60s");
    let rng = Running::start(slow);
    let mut waiting = rng.connect();
    waiting
        .write_all(b"GET /32 HTTP/1.1\r\nhost: rng\r\n\r\n")
        .unwrap();
    sleep(Duration::from_millis(50));
    assert!(rng.healthcheck("/healthz").status.success());
    rng.signal("TERM");
    assert_eq!(rng.line(), "INFO TERM: finishing what is in hand");
}

#[test]
fn the_health_check_fails_where_nobody_answers_well() {
    let mut rng = Running::start(rng());
    let output = rng.healthcheck("/no-such-path");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).ends_with(" answers 404 Not Found\n"));
    rng.signal("KILL");
    rng.end();
    let output = rng.healthcheck("/healthz");
    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(
        line.starts_with("rng: no answer from \"http://127.0.0.1:"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn term_and_int_end_it_with_code_0_and_nobody_is_cut_off() {
    for name in ["TERM", "INT"] {
        let mut slow = rng();
        slow.env("DELAY", "60s");
        let mut rng = Running::start(slow);
        let mut client = rng.connect();
        client
            .write_all(b"GET /3 HTTP/1.1\r\nhost: rng\r\n\r\n")
            .unwrap();
        sleep(Duration::from_millis(100));
        rng.signal(name);
        assert_eq!(rng.end().code(), Some(0));
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn with_ignore_sigterm_only_int_ends_it() {
    let mut stubborn = rng();
    stubborn.env("IGNORE_SIGTERM", "y");
    let mut rng = Running::start(stubborn);
    for _ in 0..2 {
        rng.signal("TERM");
        assert_eq!(rng.line(), "INFO TERM: ignored, as IGNORE_SIGTERM says");
    }
    assert!(rng.healthcheck("/healthz").status.success());
    rng.signal("INT");
    assert_eq!(rng.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut rng = Running::start(rng());
    // A client that does not take its answer would be waited for.
    let mut client = rng.connect_without_buffer();
    client
        .write_all(b"GET /1048576 HTTP/1.1\r\nhost: rng\r\n\r\n")
        .unwrap();
    assert!(rng.line().contains("GET /1048576"));
    rng.signal("TERM");
    assert_eq!(rng.line(), "INFO TERM: finishing what is in hand");
    rng.signal("TERM");
    assert_eq!(rng.end().code(), Some(130));
}
