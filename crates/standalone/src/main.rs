//! The whole application in one process, without Docker.

use std::{env, ffi::OsString};

use chassis::start::{configure, fail, print_and_exit};
use lexopt::{Arg, Parser, ValueExt};
use standalone::{Config, Listeners, PROGRAM, USAGE};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments =
        Arguments::read(env::args_os()).unwrap_or_else(|error| fail(2, PROGRAM.name, &error));
    let (config, stop) = configure(&PROGRAM, |env| Config::from_env(env, arguments.workers));
    let listeners = Listeners::bind(arguments.port).await?;
    standalone::run(listeners, config, stop).await
}

struct Arguments {
    workers: usize,
    port: u16,
}

impl Arguments {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut parser = Parser::from_iter(arguments);
        let mut read = Self {
            workers: 1,
            port: 8000,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("workers") => read.workers = parser.value()?.parse()?,
                Arg::Long("port") => read.port = parser.value()?.parse_with(port)?,
                Arg::Short('h') | Arg::Long("help") => print_and_exit(&PROGRAM.help(USAGE)),
                Arg::Short('V') | Arg::Long("version") => print_and_exit(&PROGRAM.version()),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(read)
    }
}

/// A port that leaves room for the two that follow it.
fn port(value: &str) -> Result<u16, &'static str> {
    let port = value.parse().ok().filter(|port| (1..=65533).contains(port));
    port.ok_or("it must be a port number from 1 to 65533")
}
