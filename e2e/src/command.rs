//! Other programs: the clients that a trainer types.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a command and returns what it printed, to both outputs.
///
/// # Errors
///
/// When it cannot be run, or fails; with what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{printed}",
        output.status
    );
    Ok(printed)
}

/// Runs `docker`.
///
/// # Errors
///
/// When it fails.
pub fn docker(arguments: &[&str]) -> Result<String> {
    run(Command::new("docker").args(arguments))
}

/// Runs what a lab types into a shell.
///
/// # Errors
///
/// When it fails.
pub fn sh(line: &str) -> Result<String> {
    run(Command::new("sh").args(["-c", line]))
}
