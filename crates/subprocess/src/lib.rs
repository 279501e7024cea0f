//! A program as a subprocess of its test: the log, the signals and the exit code are those of a whole
//! process.
#![cfg(unix)]
// A panic fails the test.
#![allow(clippy::missing_panics_doc)]

use std::{
    net::TcpListener,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

pub use tokio::process::Command;

/// Fails a test whose subprocess hangs.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Fails a test whose subprocess is slow to exit: the engine kills a container after ten seconds.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// `program` without the environment of the test.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true);
    command
}

/// Checks that `--version` prints the name of the program, and that `--help` begins with `about` and
/// lists these variables with their defaults.
pub async fn check_version_and_help(program: &str, about: &str, variables: &[&str]) {
    let (_, name) = program.rsplit_once('/').expect("a path");
    let version = output(command(program).arg("--version")).await;
    let version = String::from_utf8(version.stdout).expect("UTF-8");
    assert!(version.starts_with(&format!("{name} 1.")), "{version}");
    let help = output(command(program).arg("--help")).await;
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    assert!(help.starts_with(about), "{help}");
    for variable in variables {
        assert!(help.contains(variable), "no {variable} in {help}");
    }
}

/// Checks that a server listens on its port, passes its health check, and exits with 0 on SIGTERM.
pub async fn check_serves_until_term(program: &str) {
    let (mut server, port) = serve(&mut command(program)).await;
    let url = format!("http://127.0.0.1:{port}/healthz");
    let healthy = code_and_stderr(command(program).args(["healthcheck", &url])).await;
    assert_eq!(healthy, (Some(0), String::new()));
    server.signal("TERM").await;
    assert_eq!(server.exit_code().await, Some(0));
}

/// The exit code of a program that prints nothing, and what it writes to standard error.
pub async fn code_and_stderr(command: &mut Command) -> (Option<i32>, String) {
    let output = output(command).await;
    assert!(output.stdout.is_empty(), "{output:?}");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), error)
}

async fn output(command: &mut Command) -> Output {
    let output = timeout(TIMEOUT, command.output()).await;
    output.expect("it does not exit").expect("a program")
}

/// Starts a server on a free `PORT`, and returns once it listens there.
pub async fn serve(command: &mut Command) -> (Subprocess, u16) {
    // Another process may take a free port before the server does.
    for _ in 0..10 {
        let port = free_port();
        let mut server = Subprocess::spawn(command.env("PORT", port.to_string()));
        if let Some(line) = server.next_line().await {
            assert!(line.contains("Listening on "), "{line}");
            return (server, port);
        }
    }
    panic!("it does not start");
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("a bound address").port()
}

/// A running program, killed when it is dropped.
pub struct Subprocess {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

impl Subprocess {
    /// Starts a program.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a program");
        let stdout = child.stdout.take().expect("a pipe");
        let log = BufReader::new(stdout).lines();
        Self { child, log }
    }

    /// The next line of the log.
    pub async fn line(&mut self) -> String {
        self.next_line().await.expect("a line of the log")
    }

    /// The next line of the log, or `None` when the program exits.
    pub async fn next_line(&mut self) -> Option<String> {
        let line = timeout(TIMEOUT, self.log.next_line()).await;
        line.expect("it logs nothing").expect("a log in UTF-8")
    }

    /// The process identifier.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("a running program")
    }

    /// Sends a signal, such as `TERM`.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(kill.expect("kill").success());
    }

    /// The exit code, `None` after a signal that the program does not handle.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let status = timeout(EXIT_TIMEOUT, self.child.wait()).await;
        status.expect("it does not exit").expect("a status").code()
    }
}
