//! Measures what the application promises, beside what the machine allows, in one run:
//!
//!     cargo run --release -p bench
//!
//! It needs a Docker engine on this machine, Linux, and `wrk` for the section `load`.

mod arguments;
mod build;
mod cleanup;
mod command;
mod counter;
mod figure;
mod images;
mod latency;
mod load;
mod machine;
mod memory;
mod neighbours;
mod probe;
mod process;
mod report;
mod scale;
mod soak;
mod speed;
mod stack;
mod start;
mod turns;

use std::{
    env,
    io::{Write, stderr, stdout},
    num::NonZeroU32,
    process::exit,
    time::Duration,
};

use anyhow::Result;

use arguments::{Arguments, USAGE};
use figure::Figure;
use report::Report;
use stack::Images;

/// What is measured together, and named by `--only`.
struct Section {
    name: &'static str,
    about: &'static str,
    measure: fn(&Bench) -> Result<Vec<Figure>>,
    /// Minutes: only when asked for.
    slow: bool,
}

const SECTIONS: [Section; 9] = [
    Section::new("speed", "hashes per second; a unit by step", speed::measure),
    Section::new("scale", "many workers, many rng", scale::measure),
    Section::new(
        "latency",
        "a request to rng, hasher, webui",
        latency::measure,
    ),
    Section::new("load", "the same under wrk", load::measure),
    Section::new(
        "start",
        "from `up` to the first unit; `stop`",
        start::measure,
    ),
    Section::new("memory", "of each service", memory::measure),
    Section::new(
        "images",
        "their sizes, and the crates in them",
        images::measure,
    ),
    Section::slow("soak", "memory over a million requests", soak::measure),
    Section::slow("build", "cold, and after an edit", build::measure),
];

impl Section {
    const fn new(
        name: &'static str,
        about: &'static str,
        measure: fn(&Bench) -> Result<Vec<Figure>>,
    ) -> Self {
        Self {
            name,
            about,
            measure,
            slow: false,
        }
    }

    const fn slow(
        name: &'static str,
        about: &'static str,
        measure: fn(&Bench) -> Result<Vec<Figure>>,
    ) -> Self {
        Self {
            slow: true,
            ..Self::new(name, about, measure)
        }
    }
}

/// What a section measures with.
struct Bench {
    images: Images,
    effort: Effort,
}

/// How often and how long to measure.
struct Effort {
    /// How often the application and the bare programs take turns.
    rounds: u32,
    /// The time over which a speed is measured.
    window: Duration,
    /// Requests per measurement of a latency.
    requests: u32,
    /// Requests that memory must be flat over.
    soak: u64,
    /// Leave out what takes long.
    short: bool,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 3,
        window: Duration::from_secs(10),
        requests: 100,
        soak: 1_000_000,
        short: false,
    };

    const SHORT: Self = Self {
        rounds: 1,
        window: Duration::from_secs(4),
        requests: 10,
        soak: 10_000,
        short: true,
    };
}

fn main() {
    let arguments = match Arguments::read(env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            progress(&format!("bench: {error}"));
            exit(2);
        }
    };
    if let Err(error) = run(&arguments) {
        progress(&format!("bench: cannot measure: {error:?}"));
        exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.help {
        return Ok(stdout().write_all(usage().as_bytes())?);
    }
    let mut report = Report::new()?;
    progress("building the images");
    let mut effort = if arguments.short {
        Effort::SHORT
    } else {
        Effort::FULL
    };
    effort.rounds = arguments.rounds.map_or(effort.rounds, NonZeroU32::get);
    let images = Images::build()?;
    let bench = Bench { images, effort };
    let mut failure = Ok(());
    for section in SECTIONS.iter().filter(|section| arguments.want(section)) {
        progress(section.name);
        match (section.measure)(&bench) {
            Ok(figures) => report.add(section.name, section.about, figures),
            // The other sections are measured all the same.
            Err(error) => failure = Err(error.context(section.name)),
        }
    }
    report.write(arguments)?;
    failure
}

fn usage() -> String {
    let sections = SECTIONS.map(|section| {
        let slow = if section.slow { " (slow)" } else { "" };
        format!("  {:<15}  {}{slow}\n", section.name, section.about)
    });
    format!("{USAGE}\nSections:\n{}", sections.concat())
}

/// Says on standard error what is being measured. The table alone goes to standard output.
fn progress(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
