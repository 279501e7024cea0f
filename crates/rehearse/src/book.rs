//! The book: parts of Markdown, in the format that the README of this crate describes.

use anyhow::{Context as _, Result, bail, ensure};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};

/// The section whose commands bring the base state about.
pub(crate) const BEFORE: &str = "Before you start";
/// The section whose commands remove what the part started.
pub(crate) const AFTER: &str = "Afterwards";
/// The estimate for a section that does not say how long it takes.
const DEFAULT_SECONDS: u64 = 30;

/// A part of the book, such as the labs on Compose.
pub(crate) struct Book {
    /// The condition that holds before and after each lab.
    pub(crate) base: String,
    /// In the order of the document: "Before you start", the labs, "Afterwards".
    pub(crate) sections: Vec<Section>,
}

/// A lab, or one of the two sections around them.
pub(crate) struct Section {
    /// `C7`, or [`BEFORE`] or [`AFTER`].
    pub(crate) name: String,
    pub(crate) title: String,
    /// How long it takes, as the book says.
    pub(crate) seconds: u64,
    pub(crate) needs: Vec<Need>,
    pub(crate) steps: Vec<Step>,
}

/// A tool that not every machine has, and the command that succeeds where it is.
pub(crate) struct Need {
    pub(crate) name: String,
    pub(crate) command: String,
}

pub(crate) enum Step {
    Block(Block),
    Check(Check),
}

/// Commands that a reader types at once.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) commands: String,
    /// The text behind it says `^C`: it runs until its checks are done.
    pub(crate) is_endless: bool,
    /// A command of it fails on purpose.
    pub(crate) may_fail: bool,
    /// Typed only where this command succeeds.
    pub(crate) condition: Option<String>,
    /// Checks that run at the same time.
    pub(crate) during: Vec<Check>,
}

/// A command that succeeds if one sees what the book says.
#[derive(Clone)]
pub(crate) struct Check {
    pub(crate) command: String,
}

impl Book {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parser = BookParser::default();
        for event in Parser::new(text) {
            parser.read(event).with_context(|| parser.place())?;
        }
        parser.end_section().with_context(|| parser.place())?;
        let BookParser { base, sections, .. } = parser;
        for name in [BEFORE, AFTER] {
            let count = sections
                .iter()
                .filter(|section| section.name == name)
                .count();
            ensure!(count == 1, "expected one section \"{name}\", found {count}");
        }
        let base = base.context("no comment says what the base state is")?;
        Ok(Self { base, sections })
    }

    pub(crate) fn labs(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| section.is_lab())
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl Section {
    fn new(heading: &str) -> Self {
        let (name, title) = match heading.split_once(": ") {
            Some((name, title)) if !name.contains(' ') => (name, title),
            _ => (heading, ""),
        };
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            seconds: DEFAULT_SECONDS,
            needs: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn is_lab(&self) -> bool {
        !self.title.is_empty()
    }

    fn is_typed(&self) -> bool {
        self.is_lab() || [BEFORE, AFTER].contains(&self.name.as_str())
    }

    fn last_block(&mut self) -> Option<&mut Block> {
        self.steps.iter_mut().rev().find_map(|step| match step {
            Step::Block(block) => Some(block),
            Step::Check(_) => None,
        })
    }
}

/// What has been read of the document.
#[derive(Default)]
struct BookParser {
    base: Option<String>,
    sections: Vec<Section>,
    section: Option<Section>,
    /// The text of the element that has not ended.
    text: String,
    /// The attributes of the next block.
    next: Block,
    /// The depth of set-apart text, and the condition that comments in it state.
    quotes: usize,
    quote_condition: Option<String>,
    /// The language of the commands that have begun.
    language: Option<String>,
    /// "You see" without a check so far.
    is_unchecked: bool,
}

impl BookParser {
    fn place(&self) -> String {
        let section = self.section.as_ref();
        section.map_or("before the first section".to_owned(), |section| {
            format!("in section \"{}\"", section.name)
        })
    }

    fn read(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                self.language = ["sh", "promql"]
                    .contains(&language.as_ref())
                    .then(|| language.to_string());
                self.text.clear();
            }
            Event::Start(Tag::BlockQuote(_)) => self.quotes += 1,
            Event::Start(Tag::Heading { .. } | Tag::Paragraph | Tag::HtmlBlock) => {
                self.text.clear();
            }
            Event::Text(text) | Event::Code(text) | Event::Html(text) => self.text.push_str(&text),
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            Event::End(TagEnd::CodeBlock) => {
                if let Some(language) = self.language.take() {
                    self.end_block(&language)?;
                }
            }
            Event::End(TagEnd::BlockQuote(_)) => {
                self.quotes -= 1;
                if self.quotes == 0 {
                    self.quote_condition = None;
                }
            }
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => {
                self.end_section()?;
                self.section = Some(Section::new(&self.text));
            }
            Event::End(TagEnd::Paragraph) => self.end_paragraph()?,
            Event::End(TagEnd::HtmlBlock) => self.end_comment()?,
            _ => {}
        }
        Ok(())
    }

    fn end_section(&mut self) -> Result<()> {
        self.assert_checked()?;
        let Some(section) = self.section.take() else {
            return Ok(());
        };
        let has_blocks = || {
            section
                .steps
                .iter()
                .any(|step| matches!(step, Step::Block(_)))
        };
        let has_checks = || {
            section
                .steps
                .iter()
                .any(|step| matches!(step, Step::Check(_)))
        };
        ensure!(
            !section.is_lab() || has_checks(),
            "{}: nothing is checked",
            section.name
        );
        if section.is_typed() {
            self.sections.push(section);
        } else {
            ensure!(
                !has_blocks(),
                "\"{}\" is no lab, but has commands",
                section.name
            );
        }
        Ok(())
    }

    fn end_block(&mut self, language: &str) -> Result<()> {
        self.assert_checked()?;
        let mut block = std::mem::take(&mut self.next);
        block.commands = std::mem::take(&mut self.text);
        if language == "promql" {
            let queries = block
                .commands
                .lines()
                .map(|query| format!("query '{query}'\n"));
            block.commands = queries.collect();
        }
        if self.quotes > 0 {
            let condition = self
                .quote_condition
                .clone()
                .context("set-apart commands need a comment `if:`")?;
            block.condition = Some(condition);
        }
        self.steps()?.push(Step::Block(block));
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<()> {
        if self.text.starts_with("You see") {
            self.assert_checked()?;
            self.is_unchecked = true;
        }
        let Some(section) = &mut self.section else {
            return Ok(());
        };
        if self.text.contains("^C")
            && let Some(block) = section.last_block()
        {
            block.is_endless = true;
        }
        if let Some((_, time)) = self.text.split_once("Takes ")
            && let Some((seconds, _)) = time.split_once(" s")
        {
            section.seconds = seconds.parse().context("Takes … s")?;
        }
        Ok(())
    }

    fn end_comment(&mut self) -> Result<()> {
        let comment = self.text.trim();
        let Some(comment) = comment
            .strip_prefix("<!--")
            .and_then(|rest| rest.strip_suffix("-->"))
        else {
            return Ok(());
        };
        let comment = comment.trim().to_owned();
        if comment == "may fail" {
            self.next.may_fail = true;
            return Ok(());
        }
        if let Some(need) = comment.strip_prefix("needs ") {
            let (name, command) = match need.split_once(": ") {
                Some((name, command)) => (name, command.to_owned()),
                None => (need, format!("command -v {need}")),
            };
            let section = self.section.as_mut().context("a need outside a section")?;
            section.needs.push(Need {
                name: name.to_owned(),
                command,
            });
            return Ok(());
        }
        let (keyword, command) = comment
            .split_once(':')
            .with_context(|| format!("a comment without a keyword: {comment}"))?;
        let command = command.trim();
        match keyword {
            "base" => self.base = Some(parse_check(command)?.command),
            "check" => {
                self.is_unchecked = false;
                let check = parse_check(command)?;
                self.steps()?.push(Step::Check(check));
            }
            "during" => {
                let check = parse_check(command)?;
                self.next.during.push(check);
            }
            "if" if self.quotes > 0 => self.quote_condition = Some(command.to_owned()),
            "if" => self.next.condition = Some(command.to_owned()),
            "note" => {}
            _ => bail!("unknown keyword in a comment: {keyword}"),
        }
        Ok(())
    }

    fn steps(&mut self) -> Result<&mut Vec<Step>> {
        let section = self
            .section
            .as_mut()
            .context("commands before the first section")?;
        Ok(&mut section.steps)
    }

    fn assert_checked(&self) -> Result<()> {
        ensure!(!self.is_unchecked, "\"You see\" without a check");
        Ok(())
    }
}

/// A check, and the fault that was seen to make it fail.
fn parse_check(text: &str) -> Result<Check> {
    let (command, fault) = text.split_once("fails:").unwrap_or((text, ""));
    let (command, fault) = (command.trim(), fault.trim());
    ensure!(!command.is_empty(), "an empty check");
    ensure!(
        !fault.is_empty(),
        "no fault is known to make this check fail: {command}"
    );
    Ok(Check {
        command: command.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Book, Step};

    const PART: &str = "\
# Part

## Before you start

<!-- base: true fails: never -->

```sh
start
```

## X1: a title

*Takes 7 s.*

<!-- needs httping -->

```sh
run
```

**You see** it. `^C` ends it.

<!-- check: seen it
     fails: it is not there -->

> On kind:
> <!-- if: is-kind -->
>
> ```sh
> load
> ```

## Afterwards

```sh
stop
```
";

    #[test]
    fn a_part_is_parsed() {
        let book = Book::parse(PART).unwrap();
        assert_eq!(book.base, "true");
        let lab = book.labs().next().unwrap();
        assert_eq!(
            (lab.name.as_str(), lab.title.as_str(), lab.seconds),
            ("X1", "a title", 7)
        );
        assert_eq!(lab.needs[0].command, "command -v httping");
        let [Step::Block(run), Step::Check(check), Step::Block(load)] = &lab.steps[..] else {
            panic!("other steps")
        };
        assert_eq!((run.commands.as_str(), run.is_endless), ("run\n", true));
        assert_eq!(check.command, "seen it");
        assert_eq!(load.condition.as_deref(), Some("is-kind"));
    }

    #[test]
    fn what_nobody_checks_is_an_error() {
        for (old, new, error) in [
            ("fails: it is not there", "", "no fault is known"),
            ("check: seen it", "note: seen it", "without a check"),
            ("Afterwards", "Later", "is no lab"),
            ("<!-- if: is-kind -->", "", "need a comment"),
        ] {
            let parsed = Book::parse(&PART.replace(old, new)).err();
            let message = format!("{:#}", parsed.expect(error));
            assert!(message.contains(error), "{message}");
        }
    }
}
