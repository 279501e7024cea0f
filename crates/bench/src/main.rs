//! Measures the speed and the latency of the application, beside a baseline: programs that do the same
//! with the standard library alone (`examples/baseline.rs`). Needs Linux and a Docker engine.

mod counter;
mod stack;
mod table;

use std::{
    io::{BufReader, Write, stderr, stdout},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;

use stack::{Programs, Stack};
use table::Table;

/// Measures the application beside a baseline, and prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// How often to measure each figure [default: 3]
    #[arg(long)]
    rounds: Option<u32>,
    /// A smoke test: few workers, short times, one round
    #[arg(long)]
    short: bool,
}

/// How much to measure.
struct Effort {
    rounds: u32,
    /// Numbers of workers with the delays, in ascending order.
    workers: &'static [u32],
    /// Numbers of workers without delays.
    workers_without_delays: &'static [u32],
    /// The time over which a speed is measured.
    window: Duration,
    standalone_window: Duration,
    /// Requests per measurement of a latency.
    requests: u32,
    requests_without_delays: u32,
}

const FULL: Effort = Effort {
    rounds: 3,
    workers: &[1, 2, 3, 10],
    workers_without_delays: &[1, 2, 4],
    window: Duration::from_secs(10),
    standalone_window: Duration::from_secs(30),
    requests: 100,
    requests_without_delays: 1000,
};

const SHORT: Effort = Effort {
    rounds: 1,
    workers: &[1],
    workers_without_delays: &[1],
    window: Duration::from_secs(4),
    standalone_window: Duration::from_secs(4),
    requests: 10,
    requests_without_delays: 10,
};

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let effort = if arguments.short { SHORT } else { FULL };
    let rounds = arguments.rounds.unwrap_or(effort.rounds);
    progress("building")?;
    let _images = stack::build()?;

    let mut table = Table::default();
    for round in 1..=rounds {
        // In turn, so that other load on the machine affects both alike.
        for programs in [Programs::Application, Programs::Baseline] {
            progress(&format!("round {round} of {rounds}: {programs:?}"))?;
            let mut add = |name: &str, unit, value| table.add(programs, name, unit, value);
            with_delays(programs, &effort, &mut add)?;
            without_delays(programs, &effort, &mut add)?;
        }
        let name = "standalone, 1 worker (of 3.333)";
        let speed = standalone(&effort)?;
        table.add(Programs::Application, name, "hashes/s", speed);
    }
    Ok(stdout().write_all(table.markdown().as_bytes())?)
}

/// Adds a value to the table: the name of its row, its unit, the value.
type Add<'a> = &'a mut dyn FnMut(&str, &'static str, f64);

fn with_delays(programs: Programs, effort: &Effort, add: Add) -> Result<()> {
    let stack = Stack::new(programs, "100ms");
    stack.up(0)?;
    for service in ["rng", "hasher", "webui"] {
        let name = format!("request to {service}, {}", count(0));
        latency(&stack, &name, service, effort.requests, add)?;
    }
    for &workers in effort.workers {
        let ideal = (f64::from(workers) / 0.3).min(10.0);
        let speed = stack.speed(workers, effort.window)?;
        let name = format!("{} (of {ideal:.3})", count(workers));
        add(&name, "hashes/s", speed);
    }
    let most = effort.workers.last().copied().unwrap_or_default();
    for service in ["hasher", "webui"] {
        let name = format!("request to {service}, {}", count(most));
        latency(&stack, &name, service, effort.requests, add)?;
    }
    stack.down()
}

fn without_delays(programs: Programs, effort: &Effort, add: Add) -> Result<()> {
    let stack = Stack::new(programs, "0");
    stack.up(0)?;
    let requests = effort.requests_without_delays;
    for service in ["rng", "hasher"] {
        let times = stack.probe(stack::HARDENED, service, requests)?;
        let name = format!("no delays: request to {service}");
        add(&name, "ms", table::median(&times.requests));
    }
    for (name, options) in [("hardened", stack::HARDENED), ("as root", stack::ROOT)] {
        let times = stack.probe(options, "rng", requests)?;
        let name = format!("look-up of a name, {name}");
        add(&name, "ms", table::median(&times.look_ups));
    }
    for &workers in effort.workers_without_delays {
        let speed = stack.speed(workers, effort.window)?;
        let name = format!("no delays: {}", count(workers));
        add(&name, "units/s", speed);
    }
    stack.down()
}

fn count(workers: u32) -> String {
    format!("{workers} worker{}", if workers == 1 { "" } else { "s" })
}

/// The look-up of the name is not part of it, the connection is.
fn latency(stack: &Stack, name: &str, service: &str, requests: u32, add: Add) -> Result<()> {
    let times = stack.probe(stack::HARDENED, service, requests)?.requests;
    add(&format!("{name}: median"), "ms", table::median(&times));
    let percentile = table::percentile(&times, 99);
    add(&format!("{name}: 99th percentile"), "ms", percentile);
    Ok(())
}

/// The speed of the application in one process, from its log.
fn standalone(effort: &Effort) -> Result<f64> {
    let mut standalone = Command::new("cargo")
        .args("run --release --locked --quiet -p standalone -- --port 18000".split(' '))
        .env("DELAY", "100ms")
        .env_remove("REDIS_URL")
        .current_dir(stack::root())
        .stdout(Stdio::piped())
        .spawn()?;
    let log = standalone.stdout.take().context("no standard output")?;
    let updates = counter::from_log(BufReader::new(log));
    let speed = counter::speed(updates, 1, effort.standalone_window);
    // Cargo has replaced itself by the program.
    standalone.kill()?;
    standalone.wait()?;
    speed
}

/// To standard error: only the table goes to standard output.
fn progress(line: &str) -> Result<()> {
    Ok(writeln!(stderr(), "{line}")?)
}
