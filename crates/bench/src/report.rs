//! What was measured, as Markdown and as JSON.

use std::{
    fs,
    io::{Write, stdout},
    path::Path,
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    arguments::Arguments,
    figure::{Figure, HEAD},
    machine::Machine,
};

/// What `--insert` replaces lies between these.
const BEGIN: &str = "<!-- bench: begin -->\n";
const END: &str = "<!-- bench: end -->";

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    sections: Vec<Section>,
}

#[derive(Debug, Serialize)]
struct Section {
    name: &'static str,
    #[serde(skip)]
    about: &'static str,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            machine: Machine::read()?,
            sections: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, name: &'static str, about: &'static str, figures: Vec<Figure>) {
        self.sections.push(Section {
            name,
            about,
            figures,
        });
    }

    /// Prints it, and writes it where the arguments say.
    pub(crate) fn write(&self, arguments: &Arguments) -> Result<()> {
        let markdown = self.markdown();
        if let Some(directory) = &arguments.out {
            fs::create_dir_all(directory)?;
            fs::write(directory.join("bench.md"), &markdown)?;
            let json = serde_json::to_string_pretty(self)?;
            fs::write(directory.join("bench.json"), json + "\n")?;
        }
        if let Some(file) = &arguments.insert {
            insert(file, &markdown)?;
        }
        Ok(stdout().write_all(markdown.as_bytes())?)
    }

    fn markdown(&self) -> String {
        let sections = self.sections.iter().map(Section::markdown);
        self.machine.describe() + &sections.collect::<String>()
    }
}

impl Section {
    fn markdown(&self) -> String {
        let rows = self.figures.iter().map(|figure| line(&figure.row()));
        let notes = self.figures.iter().filter_map(|figure| {
            let note = figure.note.as_ref()?;
            Some(format!("\n{}: {note}\n", figure.name))
        });
        format!(
            "\n### {}\n\n{}\n\n{}{}{}{}",
            self.name,
            self.about,
            line(&HEAD.map(str::to_owned)),
            line(&HEAD.map(|_| "---".to_owned())),
            rows.collect::<String>(),
            notes.collect::<String>()
        )
    }
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn insert(file: &Path, markdown: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let text = replace(&text, markdown)
        .with_context(|| format!("{} lacks {BEGIN:?} or {END:?}", file.display()))?;
    Ok(fs::write(file, text)?)
}

/// With `markdown` in place of what lies between the markers.
fn replace(text: &str, markdown: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{markdown}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_a_heading_a_table_and_its_notes() {
        let mut figure = Figure::new("100 × 10", "hashes/s", vec![92.9]);
        figure.note = Some("full".to_owned());
        let section = Section {
            name: "scale",
            about: "many workers",
            figures: vec![figure],
        };
        let expected = "
### scale

many workers

| figure | median | spread | n | limit | of the limit |
| --- | --- | --- | --- | --- | --- |
| 100 × 10 | 92.90 hashes/s |  | 1 |  |  |

100 × 10: full
";
        assert_eq!(section.markdown(), expected);
    }

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let text = format!("# Performance\n{BEGIN}old\n{END}\nend\n");
        let expected = format!("# Performance\n{BEGIN}\nnew\n\n{END}\nend\n");
        assert_eq!(replace(&text, "new\n"), Some(expected.clone()));
        assert_eq!(replace(&expected, "new\n"), Some(expected));
        assert_eq!(replace("# Performance\n", "new\n"), None);
    }
}
