//! Types a part of the lab book as a class does, and checks that one sees what the book says.
//!
//! The README of this crate describes the format of the book.
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod book;
mod browser;
mod helpers;
mod rehearsal;
mod shell;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::{book::Book, rehearsal::Rehearsal};

/// Rehearses a part of the lab book.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// compose, swarm, kubernetes or observability
    part: String,
    /// List the labs of the part, and what they need
    #[arg(long)]
    list: bool,
    /// Rehearse these labs alone, such as K7 or C3,C5
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rehearse this lab and those behind it
    #[arg(long)]
    from: Option<String>,
    /// Go on with the next lab after one that fails
    #[arg(long)]
    keep_going: bool,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether this program got SIGINT or SIGTERM.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((name, arguments)) if helpers::NAMES.contains(&name.as_str()) => {
            helpers::run(name, arguments).map(|printed| {
                println!("{printed}");
                true
            })
        }
        _ => rehearse(&Arguments::parse()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all that was rehearsed is as the book says.
fn rehearse(arguments: &Arguments) -> Result<bool> {
    let file = root()
        .join("docs/labs")
        .join(format!("{}.md", arguments.part));
    let text = fs::read_to_string(&file).with_context(|| format!("no part {}", arguments.part))?;
    let book = Book::parse(&text).with_context(|| file.display().to_string())?;
    for name in arguments.only.iter().chain(&arguments.from) {
        ensure!(book.labs().any(|lab| lab.name == *name), "no lab {name}");
    }
    if arguments.list {
        for lab in book.labs() {
            let needs: Vec<_> = lab.needs.iter().map(|need| need.name.as_str()).collect();
            println!(
                "{:6} {:5} s  {}  {}",
                lab.name,
                lab.seconds,
                lab.title,
                needs.join(", ")
            );
        }
        return Ok(true);
    }
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))?;
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("dockercoins");
    copy_repository(&copy)?;
    Rehearsal::new(&book, arguments, directory.path(), &copy)?.run()
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A clone of the repository as it is, since labs edit files. The networks and images of Compose have
/// the name of its directory.
fn copy_repository(copy: &Path) -> Result<()> {
    let clone = r#"
        mkdir "$1" && git ls-files -z --cached --others --exclude-standard |
            xargs -0 sh -c 'for file; do [ ! -e "$file" ] || printf "%s\0" "$file"; done' sh |
            tar -cf - --null -T - | tar -xf - -C "$1" &&
        cd "$1" && git init --quiet && git add --all &&
        git -c user.name=rehearse -c user.email=rehearse@localhost commit --quiet --message Rehearse"#;
    let status = Command::new("sh")
        .args(["-c", clone, "sh"])
        .arg(copy)
        .current_dir(root())
        .status()?;
    ensure!(status.success(), "cannot copy the repository");
    Ok(())
}
