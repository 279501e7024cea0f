//! A service from its arguments to its exit code.

use std::{
    env,
    io::{Write, stderr},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Parser};
use futures_util::future::{FutureExt, LocalBoxFuture};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::{config::Settings, health, log, signal::stop_on_signal};

/// The exit code of an invalid argument or variable, and of any other error that prevents the start.
const CANNOT_START: u8 = 2;

/// The exit code of a failed health check: Docker reserves all others but 0.
const UNHEALTHY: u8 = 1;

/// The commit of a release. Unset in development builds: it would compile all services at each commit.
pub const REVISION: Option<&str> = option_env!("REVISION");

type Run = Box<dyn FnOnce(CancellationToken) -> LocalBoxFuture<'static, Result<()>>>;

/// Runs a service: `run` gets the configuration, from arguments and environment, and a token that
/// SIGTERM or SIGINT cancels. An error is logged to standard error in one line, with exit code 2.
///
/// `healthcheck URL` sends one request instead: an image that contains only the program probes itself.
pub fn main<C, R>(run: R) -> ExitCode
where
    C: Parser + 'static,
    R: AsyncFnOnce(C, CancellationToken) -> Result<()> + 'static,
{
    let command = command(C::command());
    let name = command.get_name().to_owned();
    let matches = command.get_matches();
    let config = C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let run = move |stop| async move { run(config, stop).await }.boxed_local();
    start(&name, &matches, Box::new(run))
}

/// The arguments that all services have, beside their own.
fn command(own: Command) -> Command {
    let version = env!("CARGO_PKG_VERSION");
    let version = REVISION.map_or(version.to_owned(), |revision| {
        format!("{version} ({revision})")
    });
    let url = Arg::new("URL").required(true);
    let healthcheck =
        Command::new("healthcheck").about("Exits with code 0 if URL answers with 2xx");
    Settings::augment_args(own)
        .version(version)
        .disable_help_subcommand(true)
        .subcommand(healthcheck.arg(url))
        .mut_args(|arg| if is_unset(&arg) { arg.env(None) } else { arg })
}

/// Empty is unset, since Compose passes an unset `${X-}` as empty. Kubernetes sets `METRICS_PORT` in
/// pods beside a Service that is called metrics.
fn is_unset(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(env::var_os);
    value.is_some_and(|value| {
        let service_link = value.to_string_lossy().starts_with("tcp://");
        value.is_empty() || arg.get_id() == "metrics_port" && service_link
    })
}

/// Not generic: compiled once for all services.
fn start(name: &str, matches: &ArgMatches, run: Run) -> ExitCode {
    let (result, failure) = match matches.subcommand() {
        Some((_, arguments)) => (check_health(arguments), UNHEALTHY),
        None => (run_until_stopped(name, matches, run), CANNOT_START),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "{name}: {error:#}");
            ExitCode::from(failure)
        }
    }
}

fn run_until_stopped(name: &str, matches: &ArgMatches, run: Run) -> Result<()> {
    let settings = Settings::from_arg_matches(matches)?;
    let log = log::init(name, &settings)?;
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let stop = stop_on_signal(&settings);
        run(stop.context("cannot install signal handlers")?).await
    });
    // A name look-up cannot be cancelled: the exit does not wait for it.
    runtime.shutdown_background();
    log.flush();
    result
}

fn check_health(arguments: &ArgMatches) -> Result<()> {
    let url = arguments.get_one::<String>("URL").context("no URL")?;
    runtime()?.block_on(health::check(url))
}

fn runtime() -> Result<runtime::Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start Tokio")
}
