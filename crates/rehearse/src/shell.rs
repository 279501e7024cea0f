//! The reader's terminal: one bash for a whole part.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::is_interrupted;

/// Reads names of directories, and runs the file `typed` in each. `^C` ends the commands, also a loop, but
/// not this shell.
const DRIVER: &str = r#"
trap : INT
while :; do
    read -r block || { [ $? -gt 128 ] && continue; break; }
    trap 'printf "%s\n" "$BASH_COMMAND" >>"$block/failed"' ERR
    trap 'return 130' INT
    . "$block/typed" </dev/null >"$block/printed" 2>&1
    trap : INT
    trap - ERR
    { declare -p; printf 'cd %q\n' "$PWD"; } >"$block/variables"
    : >"$block/ended"
done
"#;

/// Nothing in a lab takes longer.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(900);
const CHECK_TIMEOUT: Duration = Duration::from_secs(300);
/// The time that a command has to end after `^C`.
const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Ends the bash when dropped.
pub(crate) struct Shell {
    bash: Child,
    blocks: Option<ChildStdin>,
    /// Has a directory per block.
    directory: PathBuf,
    book: PathBuf,
    environment: Vec<(String, String)>,
    count: usize,
}

impl Shell {
    /// Starts a bash in a copy of the repository.
    pub(crate) fn start(
        directory: &Path,
        book: &Path,
        mut environment: Vec<(String, String)>,
    ) -> Result<Self> {
        let path = env::var("PATH").context("PATH")?;
        let helpers = concat!(env!("CARGO_MANIFEST_DIR"), "/helpers");
        environment.push(("PATH".to_owned(), format!("{helpers}:{path}")));
        let program = env::current_exe()?.display().to_string();
        environment.push(("REHEARSE".to_owned(), program));
        let mut bash = Command::new("bash")
            .args(["-c", DRIVER])
            .current_dir(book)
            .envs(environment.clone())
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start bash")?;
        Ok(Self {
            blocks: bash.stdin.take(),
            bash,
            directory: directory.to_owned(),
            book: book.to_owned(),
            environment,
            count: 0,
        })
    }

    /// Types commands.
    pub(crate) fn type_block(&mut self, commands: &str) -> Result<()> {
        self.count += 1;
        let block = self.block();
        fs::create_dir(&block)?;
        // The last line succeeds: a failed command is reported once, without `.`.
        fs::write(block.join("typed"), format!("{commands}:\n"))?;
        fs::write(block.join("printed"), "")?;
        let blocks = self.blocks.as_mut().context("no bash")?;
        writeln!(blocks, "{}", block.display())?;
        Ok(())
    }

    /// Waits until the commands have ended.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.wait_for(BLOCK_TIMEOUT, true)
    }

    /// The same, also after this program was told to end.
    pub(crate) fn wait_uninterrupted(&mut self) -> Result<()> {
        self.wait_for(BLOCK_TIMEOUT, false)
    }

    fn wait_for(&mut self, timeout: Duration, interruptible: bool) -> Result<()> {
        let start = Instant::now();
        while !self.has_ended() {
            ensure!(self.bash.try_wait()?.is_none(), "the shell has exited");
            ensure!(
                start.elapsed() < timeout,
                "the commands have not ended within {timeout:?}"
            );
            ensure!(!interruptible || !is_interrupted(), "interrupted");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Types `^C`, and waits until the commands have ended.
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        if !self.has_ended() {
            signal("INT", &self.bash)?;
        }
        self.wait_for(INTERRUPT_TIMEOUT, false)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.block().join("ended").exists()
    }

    /// What the commands have printed.
    pub(crate) fn printed(&self) -> String {
        read(&self.block().join("printed"))
    }

    /// The commands that have failed, one per line.
    pub(crate) fn failed(&self) -> String {
        read(&self.block().join("failed"))
    }

    /// Starts a check: a shell with the variables and the directory of the reader's.
    pub(crate) fn check(&self, command: &str) -> Result<Check> {
        let output = tempfile::NamedTempFile::new_in(&self.directory)?;
        let block = self.block();
        let variables = (1..=self.count)
            .rev()
            .map(|block| self.directory.join(block.to_string()).join("variables"));
        let variables = variables
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_default();
        let script = format!(
            "[ ! -e '{0}' ] || . '{0}' 2>/dev/null\nPRINTED='{1}/printed' ENDED='{1}/ended'; export PRINTED ENDED\nset -e\n{command}",
            variables.display(),
            block.display(),
        );
        let process = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&self.book)
            .envs(self.environment.clone())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(File::create(output.path())?)
            .stderr(
                output
                    .reopen()
                    .and_then(|_| File::options().append(true).open(output.path()))?,
            )
            .spawn()?;
        Ok(Check {
            process,
            output,
            start: Instant::now(),
        })
    }

    /// Whether a command succeeds.
    pub(crate) fn succeeds(&self, command: &str) -> Result<bool> {
        Ok(self.check(command)?.wait()?.is_ok())
    }

    fn block(&self) -> PathBuf {
        self.directory.join(self.count.to_string())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.blocks = None;
        let _ = signal("TERM", &self.bash);
        let _ = signal("KILL", &self.bash);
        let _ = self.bash.wait();
    }
}

/// A check that runs.
pub(crate) struct Check {
    process: Child,
    output: tempfile::NamedTempFile,
    start: Instant,
}

impl Check {
    /// Waits for its exit, and returns what it printed.
    pub(crate) fn wait(mut self) -> Result<std::result::Result<String, String>> {
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            if is_interrupted() {
                bail!("interrupted");
            }
            if self.start.elapsed() > CHECK_TIMEOUT {
                return Ok(Err(format!("not within {CHECK_TIMEOUT:?}")));
            }
            sleep(Duration::from_millis(50));
        };
        let printed = read(self.output.path()).trim_end().to_owned();
        Ok(if status.success() {
            Ok(printed)
        } else {
            Err(printed)
        })
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = signal("KILL", &self.process);
            let _ = self.process.wait();
        }
    }
}

/// Sends a signal to a process and its children.
fn signal(name: &str, process: &Child) -> Result<()> {
    let group = format!("-{}", process.id());
    Command::new("kill")
        .args(["-s", name, "--", &group])
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
