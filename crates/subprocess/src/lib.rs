//! A program as a subprocess of its test: the log, the signals and the exit code are those of a whole
//! process.
#![cfg(unix)]

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

/// A running program, killed when it is dropped.
pub struct Subprocess {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

/// `program` without the environment of the test.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true);
    command
}

/// Checks that `--version` prints `version`, and that `--help` begins with it and has these lines.
///
/// # Panics
///
/// When they do not.
pub async fn check_version_and_help(program: &str, version: &str, lines: &[&str]) {
    for argument in ["--version", "-V"] {
        let printed = stdout(command(program).arg(argument)).await;
        assert_eq!(printed, format!("{version}\n"));
    }
    for argument in ["--help", "-h"] {
        let help = stdout(command(program).arg(argument)).await;
        assert!(help.starts_with(&format!("{version}: ")), "{help}");
        for line in lines {
            assert!(help.contains(line), "{line} is missing: {help}");
        }
    }
}

/// Checks that a server listens on its port, passes its health check, and exits with 0 on TERM.
///
/// # Panics
///
/// When it does not.
pub async fn check_serves_until_term(program: &str) {
    let (mut server, port) = serve(&mut command(program)).await;
    let url = format!("http://127.0.0.1:{port}/healthz");
    let mut healthcheck = command(program);
    healthcheck.args(["healthcheck", &url]);
    let passed = (Some(0), String::new());
    assert_eq!(code_and_stderr(&mut healthcheck).await, passed);
    server.signal("TERM").await;
    assert_eq!(server.exit_code().await, Some(0));
    assert_eq!(code_and_stderr(&mut healthcheck).await.0, Some(1));
}

async fn stdout(command: &mut Command) -> String {
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The exit code of a program that prints nothing, and what it writes to standard error.
///
/// # Panics
///
/// When it prints something.
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
///
/// # Panics
///
/// When it does not start.
pub async fn serve(command: &mut Command) -> (Subprocess, u16) {
    // Another process may take a free port before the server does.
    for _ in 0..10 {
        let port = free_port();
        let mut server = Subprocess::spawn(command.env("PORT", port.to_string()));
        if let Some(line) = server.next_line().await {
            assert!(line.starts_with("INFO Listening on "), "{line}");
            return (server, port);
        }
    }
    panic!("it does not start");
}

/// A port that was free a moment ago.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("a bound address").port()
}

impl Subprocess {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// When it does not exist.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a program");
        let stdout = child.stdout.take().expect("a pipe");
        let log = BufReader::new(stdout).lines();
        Self { child, log }
    }

    /// The next line of the log.
    ///
    /// # Panics
    ///
    /// When the program exits instead.
    pub async fn line(&mut self) -> String {
        self.next_line().await.expect("a line of the log")
    }

    /// The next line of the log, or `None` when the program exits.
    ///
    /// # Panics
    ///
    /// When it logs nothing.
    pub async fn next_line(&mut self) -> Option<String> {
        let line = timeout(TIMEOUT, self.log.next_line()).await;
        line.expect("it logs nothing").expect("a log in UTF-8")
    }

    /// Sends a signal, such as `TERM`.
    ///
    /// # Panics
    ///
    /// When the program has exited.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("a running program").to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(kill.expect("kill").success());
    }

    /// The exit code, `None` after a signal that the program does not handle.
    ///
    /// # Panics
    ///
    /// When it does not exit.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let status = timeout(TIMEOUT, self.child.wait()).await;
        status.expect("it does not exit").expect("a status").code()
    }
}
