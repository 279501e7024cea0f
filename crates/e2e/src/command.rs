//! Other programs: the clients that a trainer types.

use std::{
    io::{BufRead, BufReader, pipe},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::until;

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

/// A command that goes on in the foreground, such as `docker-compose up`. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    process: Child,
    printed: Arc<Mutex<String>>,
}

impl Running {
    /// Starts it, in a process group of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub fn start(mut command: Command) -> Result<Self> {
        let (reader, writer) = pipe()?;
        let process = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let printed = Arc::new(Mutex::new(String::new()));
        let lines = Arc::clone(&printed);
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                *lines += &line;
                lines.push('\n');
            }
        });
        Ok(Self { process, printed })
    }

    /// Starts `docker logs --follow` for a container.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub fn log_of(container: &str) -> Result<Self> {
        let mut command = Command::new("docker");
        command.args(["logs", "--follow", container]);
        Self::start(command)
    }

    /// What it has printed so far, to both outputs.
    #[must_use]
    pub fn printed(&self) -> String {
        let printed = self.printed.lock();
        printed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends it INT, as `^C` does. It alone: without a terminal, `docker` passes it on to Compose,
    /// which takes a second one for a wish to kill.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn interrupt(&self) -> Result<()> {
        sh(&format!("kill -INT {}", self.process.id())).map(drop)
    }

    /// Waits for it to end.
    ///
    /// # Errors
    ///
    /// When it does not within `patience`.
    pub async fn end(&mut self, patience: Duration) -> Result<ExitStatus> {
        until(patience, async || Ok(self.process.try_wait()?.is_some())).await?;
        Ok(self.process.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = sh(&format!("kill -KILL -{}", self.process.id()));
        }
        let _ = self.process.wait();
    }
}
