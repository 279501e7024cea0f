//! The command line.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf};

use lexopt::{Arg, Error, Parser, ValueExt};

use crate::{SECTIONS, Section};

pub(crate) const USAGE: &str = "\
bench: measures what the application promises, beside what the machine allows

  --only SECTIONS  only these, such as speed,memory; without it, all but the slow ones
  --build          the section build too
  --soak           the section soak too
  --rounds NUMBER  how often each figure is measured [default: 3]
  --short          a few minutes: shows that it works
  --out DIR        writes bench.md and bench.json there
  --insert FILE    replaces the table in a Markdown file, between its two markers
";

/// What to measure, and where to write it.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) help: bool,
    pub(crate) short: bool,
    pub(crate) rounds: Option<NonZeroU32>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) insert: Option<PathBuf>,
    only: Option<Vec<String>>,
    slow: Vec<&'static str>,
}

impl Arguments {
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let mut parser = Parser::from_iter(arguments);
        let mut read = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("only") => read.only = Some(parser.value()?.parse_with(sections)?),
                Arg::Long("build") => read.slow.push("build"),
                Arg::Long("soak") => read.slow.push("soak"),
                Arg::Long("short") => read.short = true,
                Arg::Long("rounds") => read.rounds = Some(parser.value()?.parse()?),
                Arg::Long("out") => read.out = Some(parser.value()?.into()),
                Arg::Long("insert") => read.insert = Some(parser.value()?.into()),
                Arg::Short('h') | Arg::Long("help") => read.help = true,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(read)
    }

    pub(crate) fn want(&self, section: &Section) -> bool {
        let wanted = match &self.only {
            Some(only) => only.iter().any(|name| name == section.name),
            None => !section.slow,
        };
        wanted || self.slow.contains(&section.name)
    }
}

fn sections(list: &str) -> Result<Vec<String>, String> {
    let known = SECTIONS.map(|section| section.name);
    let names = list.split(',').map(|name| {
        if known.contains(&name) {
            Ok(name.to_owned())
        } else {
            Err(format!("it must be some of {}", known.join(",")))
        }
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str) -> Vec<&'static str> {
        let arguments = Arguments::read(line.split(' ').map(OsString::from)).unwrap();
        let wanted = SECTIONS.iter().filter(|section| arguments.want(section));
        wanted.map(|section| section.name).collect()
    }

    #[test]
    fn slow_sections_are_measured_only_when_asked_for() {
        let quick = [
            "speed", "scale", "latency", "load", "start", "memory", "images",
        ];
        assert_eq!(wanted("bench"), quick);
        assert_eq!(wanted("bench --build").last(), Some(&"build"));
        assert_eq!(wanted("bench --only memory,soak"), ["memory", "soak"]);
        assert_eq!(wanted("bench --only images --build"), ["images", "build"]);
    }

    #[test]
    fn an_unknown_section_is_refused_with_the_known_ones() {
        let arguments = ["bench", "--only", "speed,sped"].map(OsString::from);
        let error = Arguments::read(arguments).unwrap_err().to_string();
        assert!(error.contains("\"speed,sped\""), "{error}");
        assert!(error.contains("speed,scale,latency"), "{error}");
    }
}
