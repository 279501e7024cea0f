//! Commands, as a class types them.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{cleanup::Cleanup, retry, root};

/// Fails a test whose command hangs. The longest command is a cold build.
const TIMEOUT: &str = "10m";

/// A line for a shell at the root of the repository.
pub fn shell(line: impl AsRef<OsStr>) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).current_dir(root());
    shell
}

/// Runs such a line, with arguments as of [`format!`], and returns what it printed.
#[macro_export]
macro_rules! sh {
    ($($line:tt)*) => { $crate::run(&$crate::shell(format!($($line)*))) };
}

/// Runs a command and returns what it printed to both outputs, without the last newline.
#[track_caller]
pub fn run(command: &Command) -> String {
    try_run(command).unwrap_or_else(|error| panic!("{error}"))
}

/// The same for a command that may fail; the error has what it printed.
#[track_caller]
pub fn try_run(command: &Command) -> Result<String, String> {
    // timeout(1) is in a process group of its own and does not get the INT of `^C`: the end of the
    // test ends it.
    let mut limited = Command::new("setpriv");
    limited.args(["--pdeathsig", "TERM"]);
    limited.args(["timeout", "--kill-after", "10s", TIMEOUT]);
    limited.arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        limited.env(variable, value.unwrap_or_default());
    }
    if let Some(directory) = command.get_current_dir() {
        limited.current_dir(directory);
    }
    let output = limited.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).trim_end().to_owned();
    if output.status.success() {
        Ok(printed)
    } else {
        Err(format!("{limited:?}: {}\n{printed}", output.status))
    }
}

/// What a template says of each of these containers.
#[track_caller]
pub fn inspect(containers: &[String], template: &str) -> Vec<String> {
    let containers = containers.join(" ");
    lines(format!("docker inspect --format '{template}' {containers}"))
}

/// The lines that a command prints.
#[track_caller]
pub(crate) fn lines(command: impl AsRef<OsStr>) -> Vec<String> {
    run(&shell(command)).lines().map(str::to_owned).collect()
}

/// A command in the foreground, such as `docker-compose up`. Dropping it kills it.
pub struct Running {
    _process: Child,
    output: File,
    _cleanup: Cleanup,
}

impl Running {
    /// Starts it, in a process group of its own.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let output = tempfile::tempfile().unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output.try_clone().unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            _cleanup: Cleanup::new(&format!("kill -KILL -{}", process.id())),
            _process: process,
            output,
        }
    }

    /// Follows the log of a container.
    #[track_caller]
    pub fn log(container: &str) -> Self {
        Self::start(shell(format!("exec docker logs --follow {container}")))
    }

    /// What it has printed so far, to both outputs.
    pub fn printed(&self) -> String {
        let size = self.output.metadata().unwrap().len();
        let mut printed = vec![0; usize::try_from(size).unwrap()];
        self.output.read_exact_at(&mut printed, 0).unwrap();
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// Waits until what it has printed meets a condition, and returns how long that took.
    #[track_caller]
    pub fn until(&self, timeout: Duration, condition: impl Fn(&str) -> bool) -> Duration {
        retry(timeout, || {
            let printed = self.printed();
            condition(&printed).then_some(()).ok_or(printed)
        })
    }
}
