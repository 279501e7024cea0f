//! A run through a part of the book.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    Arguments,
    book::{AFTER, BEFORE, Block, Book, Check, Section, Step},
    browser::Driver,
    helpers::page_url,
    is_interrupted,
    shell::Shell,
};

const BASE: &str = "the base state";

pub(crate) struct Rehearsal<'a> {
    book: &'a Book,
    labs: Vec<&'a Section>,
    keep_going: bool,
    shell: Shell,
    driver: Option<Driver>,
    rows: Vec<Row>,
    not_rehearsed: Vec<String>,
}

/// A line of the table at the end.
struct Row {
    lab: String,
    time: Duration,
    seen: String,
    expected: String,
    holds: bool,
}

impl<'a> Rehearsal<'a> {
    pub(crate) fn new(
        book: &'a Book,
        arguments: &Arguments,
        directory: &Path,
        copy: &Path,
    ) -> Result<Self> {
        let only = &arguments.only;
        let labs = book
            .labs()
            .filter(|lab| only.is_empty() || only.contains(&lab.name));
        let is_before = |lab: &&Section| {
            arguments
                .from
                .as_ref()
                .is_some_and(|from| lab.name != *from)
        };
        let labs = labs.skip_while(is_before).collect();
        let driver = Driver::start(&directory.join("profile"))?;
        let session = driver.as_ref().map(|driver| driver.browser.session.clone());
        let environment = session.map(|session| ("BROWSER_SESSION".to_owned(), session));
        let shell = Shell::start(directory, copy, environment.into_iter().collect())?;
        Ok(Self {
            book,
            labs,
            keep_going: arguments.keep_going,
            shell,
            driver,
            rows: Vec::new(),
            not_rehearsed: Vec::new(),
        })
    }

    /// Returns whether all that was rehearsed is as the book says.
    pub(crate) fn run(mut self) -> Result<bool> {
        let start = Instant::now();
        let missing = self.missing(self.section(BEFORE)?)?;
        ensure!(
            missing.is_none(),
            "not rehearsed, without {}",
            missing.unwrap_or_default()
        );
        let result = self.run_labs();
        self.clean_up();
        println!("\n{:8} {:>7}  {:60}  expected", "lab", "seconds", "seen");
        for row in &self.rows {
            let (failed, silent) = if row.holds {
                ("", "as expected")
            } else {
                ("FAILED: ", "nothing was printed")
            };
            let seen = row.seen.lines().last().unwrap_or(silent);
            let seen = shorten(&format!("{failed}{seen}"));
            let (seconds, expected) = (row.time.as_secs_f64(), &row.expected);
            println!("{:8} {seconds:>7.1}  {seen:60}  {expected}", row.lab);
        }
        for lab in &self.not_rehearsed {
            println!("not rehearsed: {lab}");
        }
        let failures = self.rows.iter().filter(|row| !row.holds).count();
        println!(
            "{} checks, {failures} failed, {:.0} s",
            self.rows.len(),
            start.elapsed().as_secs_f64()
        );
        result?;
        Ok(failures == 0)
    }

    fn run_labs(&mut self) -> Result<()> {
        self.prepare()?;
        let labs = std::mem::take(&mut self.labs);
        for (index, lab) in labs.iter().enumerate() {
            let left: u64 = labs[index..].iter().map(|lab| lab.seconds).sum();
            println!(
                "\n{}: {} ({} of {}, {} min left)",
                lab.name,
                lab.title,
                index + 1,
                labs.len(),
                left.div_ceil(60)
            );
            if let Some(missing) = self.missing(lab)? {
                println!("  not rehearsed, without {missing}");
                self.not_rehearsed
                    .push(format!("{}: {}, without {missing}", lab.name, lab.title));
                continue;
            }
            let rows = self.rows.len();
            let start = Instant::now();
            self.run_section(lab)?;
            let at_base = self.is_at_base(&lab.name)?;
            println!("  {:.0} s", start.elapsed().as_secs_f64());
            if self.rows[rows..].iter().any(|row| !row.holds) && !self.keep_going {
                break;
            }
            if !at_base {
                println!("  back to the base state");
                self.clean_up();
                self.prepare()?;
            }
        }
        Ok(())
    }

    /// Brings the base state about, and opens the page.
    fn prepare(&mut self) -> Result<()> {
        let before = self.section(BEFORE)?;
        println!("\n{BEFORE}");
        self.run_section(before)?;
        let at_base = self.is_at_base(BEFORE)?;
        ensure!(at_base, "the base state does not come about");
        if let Some(driver) = &self.driver {
            driver.browser.open(&page_url())?;
        }
        Ok(())
    }

    /// Removes what the part has started, also after `^C`.
    fn clean_up(&mut self) {
        println!("\n{AFTER}");
        let result = self.section(AFTER).and_then(|after| {
            self.shell.interrupt()?;
            for step in &after.steps {
                if let Step::Block(block) = step {
                    // A check would end at once after `^C`.
                    let commands = match &block.condition {
                        Some(condition) => format!("if {condition}\nthen\n{}fi\n", block.commands),
                        None => block.commands.clone(),
                    };
                    self.shell.type_block(&commands)?;
                    self.shell.wait_uninterrupted()?;
                }
            }
            Ok(())
        });
        if let Err(error) = result {
            println!("  {error:#}");
        }
    }

    fn section(&self, name: &str) -> Result<&'a Section> {
        self.book.section(name).context(name.to_owned())
    }

    fn missing(&self, section: &Section) -> Result<Option<String>> {
        for need in &section.needs {
            if !self.shell.succeeds(&need.command)? {
                return Ok(Some(need.name.clone()));
            }
        }
        Ok(None)
    }

    fn run_section(&mut self, section: &Section) -> Result<()> {
        let mut endless = false;
        for step in &section.steps {
            match step {
                Step::Block(block) => {
                    if endless {
                        self.shell.interrupt()?;
                    }
                    endless = block.is_endless;
                    self.run_block(section, block)?;
                }
                Step::Check(check) => {
                    self.run_check(&section.name, check)?;
                }
            }
        }
        if endless {
            self.shell.interrupt()?;
        }
        Ok(())
    }

    fn run_block(&mut self, section: &Section, block: &Block) -> Result<()> {
        if let Some(condition) = &block.condition
            && !self.shell.succeeds(condition)?
        {
            let first = block.commands.lines().next().unwrap_or_default();
            self.not_rehearsed
                .push(format!("{}: {first} …, unless {condition}", section.name));
            return Ok(());
        }
        for line in block.commands.lines() {
            println!("  $ {line}");
        }
        let start = Instant::now();
        self.shell.type_block(&block.commands)?;
        let during = block
            .during
            .iter()
            .map(|check| self.shell.check(&check.command));
        let during = during.collect::<Result<Vec<_>>>()?;
        if block.is_endless {
            ensure!(during.is_empty(), "`during:` needs a block that ends");
            return Ok(());
        }
        let ended = self.shell.wait();
        if is_interrupted() {
            return ended;
        }
        let failed = self.shell.failed();
        if ended.is_err() || (!failed.is_empty() && !block.may_fail) {
            println!("{}", indent(&self.shell.printed()));
            let seen = ended.err().map_or_else(
                || format!("failed: {}", one_line(&failed)),
                |error| error.to_string(),
            );
            self.report(&section.name, start, Err(seen), "every command succeeds");
            self.shell.interrupt()?;
        }
        for (running, check) in during.into_iter().zip(&block.during) {
            let seen = running.wait()?;
            self.report(&section.name, start, seen, &check.command);
        }
        Ok(())
    }

    fn is_at_base(&mut self, lab: &str) -> Result<bool> {
        let start = Instant::now();
        let seen = self.shell.check(&self.book.base)?.wait()?;
        let holds = seen.is_ok();
        self.report(lab, start, seen, BASE);
        if holds {
            self.rows.pop();
        }
        Ok(holds)
    }

    fn run_check(&mut self, lab: &str, check: &Check) -> Result<bool> {
        let start = Instant::now();
        let seen = self.shell.check(&check.command)?.wait()?;
        let holds = seen.is_ok();
        if !holds {
            println!("{}", indent(&self.shell.printed()));
        }
        self.report(lab, start, seen, &check.command);
        Ok(holds)
    }

    fn report(&mut self, lab: &str, start: Instant, seen: Result<String, String>, expected: &str) {
        let holds = seen.is_ok();
        let seen = seen.unwrap_or_else(|seen| seen);
        let word = if holds { "ok" } else { "FAILED" };
        let last = seen.lines().last().unwrap_or_default();
        let (last, expected) = (shorten(last), shorten(expected));
        let seconds = start.elapsed().as_secs_f64();
        println!("  {word}: {last} ← {expected} ({seconds:.0} s)");
        if !holds {
            println!("{}", indent(&seen));
        }
        self.rows.push(Row {
            lab: lab.to_owned(),
            time: start.elapsed(),
            seen,
            expected,
            holds,
        });
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// In a line, for a table.
fn shorten(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn indent(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("  | {line}")).collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
