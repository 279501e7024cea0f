//! What a program does before its own work: its arguments, its configuration, its log.

use std::{
    env,
    fmt::Display,
    io::{Write, stderr, stdout},
    process::exit,
};

use tokio_util::sync::CancellationToken;

use crate::{
    Env, Help, Invalid, health,
    log::{self, DEBUG, RUST_LOG},
    signal::{IGNORE_SIGTERM, stop_on_signal},
};

/// The variables that every program reads.
const COMMON: [Help; 3] = [DEBUG.help(), RUST_LOG.help(), IGNORE_SIGTERM.help()];

/// What a program says about itself.
#[derive(Debug)]
pub struct Program {
    /// Its name, which is that of its crate: `DEBUG=y` turns on the debug lines of this one.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// The variables that it reads, besides those that every program does.
    pub variables: &'static [Help],
}

/// Reads the arguments of a service, then [`configure`]s it.
///
/// `--help` and `--version` are answered here, and so is `healthcheck URL`, with which an image
/// that holds nothing but the program can probe itself. Then the process ends, and also, with one
/// line and code 2, when an argument is not valid.
pub async fn start<C>(
    program: &Program,
    read: impl FnOnce(Env) -> Result<C, Invalid>,
) -> (C, CancellationToken) {
    let arguments: Vec<_> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => configure(program, read),
        ["-h" | "--help"] => {
            let name = program.name;
            print_and_exit(&program.help(&format!(
                "{name}                  runs it\n\
                 {name} healthcheck URL  exits 0 if URL answers with 2xx\n\
                 {name} --version\n"
            )))
        }
        ["-V" | "--version"] => print_and_exit(&program.version()),
        ["healthcheck", url] => match health::check(url).await {
            Ok(()) => exit(0),
            Err(error) => fail(1, program.name, &format_args!("{error:#}")),
        },
        ref other => {
            let way_out = "it is configured by its environment, see --help";
            fail(
                2,
                program.name,
                &format_args!("cannot understand {:?}: {way_out}", other.join(" ")),
            )
        }
    }
}

/// Reads the configuration, starts the log and hears signals from now on: TERM or INT cancels the
/// token. The process ends with one line and code 2 when a variable is not valid.
///
/// It is called inside tokio's runtime.
pub fn configure<C>(
    program: &Program,
    read: impl FnOnce(Env) -> Result<C, Invalid>,
) -> (C, CancellationToken) {
    let env = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let configured = log::Filter::read(&env, program.name)
        .and_then(|filter| Ok((filter, IGNORE_SIGTERM.read(&env)?, read(&env)?)));
    let (filter, ignore_term, config) =
        configured.unwrap_or_else(|invalid| fail(2, program.name, &invalid));
    log::start(filter);
    match stop_on_signal(ignore_term) {
        Ok(stop) => (config, stop),
        Err(error) => fail(
            1,
            program.name,
            &format_args!("cannot hear signals: {error}"),
        ),
    }
}

impl Program {
    /// What `--help` prints: `usage` and the variables with their defaults.
    #[must_use]
    pub fn help(&self, usage: &str) -> String {
        let Self {
            name,
            version,
            about,
            variables,
        } = self;
        let line = |Help {
                        name,
                        default,
                        about,
                    }: &Help| {
            let default = if default.is_empty() {
                String::new()
            } else {
                format!(" [default: {default}]")
            };
            format!("  {name:<14} {about}{default}\n")
        };
        let variables: String = variables.iter().chain(&COMMON).map(line).collect();
        format!("{name} {version}: {about}\n\n{usage}\nEnvironment:\n{variables}")
    }

    /// What `--version` prints.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{} {}\n", self.name, self.version)
    }
}

/// Prints `text` and ends the process with code 0. A reader that has gone away, such as `head`, is
/// no failure.
pub fn print_and_exit(text: &str) -> ! {
    let _ = stdout().write_all(text.as_bytes());
    exit(0)
}

/// Says in one line what is wrong, and ends the process with `code`.
pub fn fail(code: i32, name: &str, error: &dyn Display) -> ! {
    let _ = writeln!(stderr(), "{name}: {error}");
    exit(code)
}
