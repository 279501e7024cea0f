//! What a program does before its own work: its arguments, its configuration, its log.

use std::{
    env,
    io::{Write, stderr, stdout},
    process::exit,
};

use anyhow::{Context, anyhow};
use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use crate::{
    Env, Help, Invalid, chain, health,
    log::{self, DEBUG, LOG_FORMAT, RUST_LOG},
    otel,
    signal::{IGNORE_SIGTERM, stop_on_signal},
};

/// The variables that every program reads.
const COMMON: [Help; 4] = [
    DEBUG.help(),
    RUST_LOG.help(),
    LOG_FORMAT.help(),
    IGNORE_SIGTERM.help(),
];

/// The exit code of an invalid argument or variable, and of whatever else prevents the start.
const CANNOT_START: i32 = 2;

/// The exit code of a failed health check: Docker reserves all others but 0.
const UNHEALTHY: i32 = 1;

/// The commit that a release was built from. Other builds do not know theirs: they would compile all
/// services at each commit.
const REVISION: Option<&str> = option_env!("REVISION");

/// What a program says about itself.
#[derive(Debug)]
pub struct Program {
    /// The name of its crate: `DEBUG=y` enables the debug events of this target.
    pub name: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    /// The first line of `--help`, after name and version.
    pub about: &'static str,
    /// The variables that it reads, besides those that every program reads.
    pub variables: &'static [Help],
}

/// Parses the arguments of a service, then [`configure`]s it.
///
/// `--help`, `--version` and `healthcheck URL` exit when they are done; the last one lets an image
/// that contains only the program probe itself. An invalid argument exits with code 2 and one line.
pub async fn start<C>(
    program: &Program,
    read: impl FnOnce(Env) -> Result<C, Invalid>,
) -> (C, CancellationToken) {
    program.run_subcommand().await;
    configure(program, read)
}

/// Reads the configuration, initializes the log and installs the signal handlers: SIGTERM or SIGINT
/// cancels the token. Exits with code 2 and one line if a variable is invalid.
///
/// Must be called within a Tokio runtime.
pub fn configure<C>(
    program: &Program,
    read: impl FnOnce(Env) -> Result<C, Invalid>,
) -> (C, CancellationToken) {
    let config = program.or_exit(read(&variable));
    (config, program.init())
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl Program {
    /// Runs the subcommand that the arguments name, and exits; returns if there are none. Boxed: see
    /// [`crate::serve()`].
    fn run_subcommand(&self) -> BoxFuture<'_, ()> {
        let arguments = env::args_os()
            .skip(1)
            .map(|argument| argument.to_string_lossy().into_owned());
        let arguments: Vec<_> = arguments.collect();
        let run = async move {
            match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => {}
                ["-h" | "--help"] => {
                    let name = self.name;
                    print_and_exit(&self.help(&format!(
                        "{name}                  runs it\n\
                         {name} healthcheck URL  exits 0 if URL answers with 2xx\n\
                         {name} --version\n"
                    )))
                }
                ["-V" | "--version"] => print_and_exit(&self.version()),
                ["healthcheck", url] => match health::check(url).await {
                    Ok(()) => exit(0),
                    Err(error) => self.exit(UNHEALTHY, &error),
                },
                ref other => {
                    let arguments = other.join(" ");
                    let error = anyhow!(
                        "invalid arguments {arguments:?}: it is configured by environment variables, see --help"
                    );
                    self.exit(CANNOT_START, &error)
                }
            }
        };
        run.boxed()
    }

    /// What is common to all programs in [`configure`].
    fn init(&self) -> CancellationToken {
        let filter = self.or_exit(log::filter(&variable, self.name));
        let format = self.or_exit(LOG_FORMAT.read(&variable));
        let ignore_sigterm = self.or_exit(IGNORE_SIGTERM.read(&variable));
        let spans = self.or_exit(otel::Config::from_env(&variable));
        let registry = self.or_exit(spans.registry(self.name));
        log::init(self.name, format, filter, registry);
        spans.log();
        self.or_exit(stop_on_signal(ignore_sigterm).context("cannot install signal handlers"))
    }

    /// The value, or exits with code 2 and the error in one line.
    pub fn or_exit<T>(&self, result: Result<T, impl Into<anyhow::Error>>) -> T {
        result.unwrap_or_else(|error| self.exit(CANNOT_START, &error.into()))
    }

    fn exit(&self, code: i32, error: &anyhow::Error) -> ! {
        let _ = writeln!(stderr(), "{}: {}", self.name, chain(error));
        exit(code)
    }

    /// What `--help` prints: `usage`, and the variables with their defaults.
    #[must_use]
    pub fn help(&self, usage: &str) -> String {
        let Self {
            name,
            version,
            about,
            variables,
        } = self;
        let variables: String = variables
            .iter()
            .chain(&COMMON)
            .chain(&otel::HELP)
            .map(ToString::to_string)
            .collect();
        format!("{name} {version}: {about}\n\n{usage}\nEnvironment:\n{variables}")
    }

    /// What `--version` prints: name and version, and in a release the commit.
    #[must_use]
    pub fn version(&self) -> String {
        let Self { name, version, .. } = self;
        match REVISION {
            Some(revision) => format!("{name} {version} ({revision})\n"),
            None => format!("{name} {version}\n"),
        }
    }
}

/// Prints `text` and exits with code 0, also when the reader has closed the pipe, as `head` does.
pub fn print_and_exit(text: &str) -> ! {
    let _ = stdout().write_all(text.as_bytes());
    exit(0)
}
