//! Leaves nothing behind, also after ^C.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// Shell commands that run when this is dropped, and also when the process is killed.
#[derive(Debug)]
pub(crate) struct Cleanup {
    shell: Child,
}

impl Cleanup {
    pub(crate) fn new(commands: &str) -> Result<Self> {
        // Its input ends with this process. In a process group of its own, it survives ^C.
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
        // Closes its input, then waits.
        let _ = self.shell.wait();
    }
}
