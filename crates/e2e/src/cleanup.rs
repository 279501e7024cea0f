//! Leaving nothing behind, also when a test is killed.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// What a shell does when this is dropped, and also when the process ends in any other way: by a
/// panic, by ^C, by KILL.
#[derive(Debug)]
pub struct Cleanup {
    shell: Child,
}

impl Cleanup {
    /// Gets the shell ready for `commands`.
    ///
    /// # Errors
    ///
    /// When there is no `sh`.
    pub fn new(commands: &str) -> Result<Self> {
        // Its input ends when we let go of it, or are no more. In a process group of its own it does
        // not hear the ^C that ends us.
        let shell = Command::new("sh")
            .args(["-c", &format!("cat\n{commands}")])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run sh")?;
        Ok(Self { shell })
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // This closes its input first.
        let _ = self.shell.wait();
    }
}
