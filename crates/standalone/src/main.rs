//! The whole application in one process, without Docker.

use std::{env, ffi::OsString};

use chassis::{configure, print_and_exit};
use lexopt::{Arg, Parser, ValueExt};
use standalone::{Config, Listeners, PROGRAM, USAGE};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = PROGRAM.or_exit(Arguments::parse(env::args_os()));
    let (config, stop) = configure(&PROGRAM, |env| Config::from_env(env, arguments.workers));
    let listeners = PROGRAM.or_exit(Listeners::bind(arguments.port).await);
    PROGRAM.or_exit(standalone::run(listeners, config, stop).await);
}

struct Arguments {
    workers: usize,
    port: u16,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut parser = Parser::from_iter(arguments);
        let mut parsed = Self {
            workers: 1,
            port: 8000,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("workers") => parsed.workers = parser.value()?.parse()?,
                Arg::Long("port") => parsed.port = parser.value()?.parse_with(port)?,
                Arg::Short('h') | Arg::Long("help") => print_and_exit(&PROGRAM.help(USAGE)),
                Arg::Short('V') | Arg::Long("version") => print_and_exit(&PROGRAM.version()),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(parsed)
    }
}

/// A port that has two more above it.
fn port(value: &str) -> Result<u16, &'static str> {
    let port = value.parse().ok().filter(|port| (1..=65533).contains(port));
    port.ok_or("it must be a port number from 1 to 65533")
}
