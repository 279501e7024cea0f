//! Other programs.

use std::{
    env,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// Runs a command and returns what it writes to standard output.
///
/// # Errors
///
/// When it fails; with what it wrote to standard error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn docker(arguments: &[&str]) -> Result<String> {
    run(Command::new("docker").args(arguments))
}

/// `docker compose`, or what the variable `COMPOSE` names, such as `docker-compose`.
pub(crate) fn compose() -> Command {
    let compose = env::var("COMPOSE").unwrap_or_else(|_| "docker compose".to_owned());
    let mut words = compose.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("docker"));
    command.args(words);
    command
}

/// Waits until `condition` holds, and fails when it does not within `timeout`.
pub(crate) fn wait_until(timeout: Duration, condition: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        ensure!(start.elapsed() < timeout, "waited for {timeout:?} in vain");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}
