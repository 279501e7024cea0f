//! The application under Compose, or the baseline in its place.

use std::{
    net::IpAddr,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::counter;

/// The programs in the containers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Programs {
    Application,
    Baseline,
}

impl Programs {
    fn project(self) -> &'static str {
        match self {
            Self::Application => "dockercoins-bench",
            Self::Baseline => "dockercoins-bench-baseline",
        }
    }

    /// `docker compose`, for this project.
    fn compose(self, delay: &str, arguments: &[&str]) -> Command {
        let mut files = "docker-compose.yml:crates/bench/compose.yml".to_owned();
        if let Self::Baseline = self {
            files += ":crates/bench/baseline.yml";
        }
        let mut command = Command::new("docker");
        command
            .arg("compose")
            .args(arguments)
            .current_dir(root())
            .env("COMPOSE_PROJECT_NAME", self.project())
            .env("COMPOSE_FILE", files)
            .env("DELAY", delay);
        command
    }
}

/// The options of `docker run` for a client: hardened like the services, or as root.
pub(crate) const HARDENED: &[&str] = &[
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
];
pub(crate) const ROOT: &[&str] = &["--user=0"];

/// Runs a command and returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{errors}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Removes containers and images when dropped, also after ^C.
pub(crate) struct Cleanup(Child);

/// Builds the images.
pub(crate) fn build() -> Result<Cleanup> {
    let both = [Programs::Application, Programs::Baseline];
    let down = both.map(|programs| {
        let project = programs.project();
        format!("docker compose -p {project} down --volumes --timeout 1\n")
    });
    let remove_images =
        "docker image ls --format '{{.Repository}}' 'dockercoins-bench*' | xargs -r docker rmi";
    // Its standard input ends with this process, and the terminal does not interrupt its process group.
    let shell = Command::new("sh")
        .args(["-c", &format!("cat\n{}{remove_images}", down.concat())])
        .process_group(0)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let cleanup = Cleanup(shell);
    for programs in both {
        run(&mut programs.compose("0", &["build"]))?;
    }
    Ok(cleanup)
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // Closes its standard input, then waits.
        let _ = self.0.wait();
    }
}

/// A Compose project with one `DELAY` for all services.
pub(crate) struct Stack {
    programs: Programs,
    delay: &'static str,
}

/// What the requests of a client took, in milliseconds.
pub(crate) struct Times {
    pub(crate) look_ups: Vec<f64>,
    pub(crate) requests: Vec<f64>,
}

impl Stack {
    pub(crate) fn new(programs: Programs, delay: &'static str) -> Self {
        Self { programs, delay }
    }

    fn compose(&self, arguments: &[&str]) -> Result<String> {
        run(&mut self.programs.compose(self.delay, arguments))
    }

    /// Starts it, or scales it.
    pub(crate) fn up(&self, workers: u32) -> Result<()> {
        let scale = format!("worker={workers}");
        self.compose(&["up", "--detach", "--no-build", "--scale", &scale])
            .map(drop)
    }

    pub(crate) fn down(&self) -> Result<()> {
        self.compose(&["down", "--volumes", "--timeout", "1"])
            .map(drop)
    }

    /// Hashes per second of `workers` workers.
    pub(crate) fn speed(&self, workers: u32, window: Duration) -> Result<f64> {
        self.up(workers)?;
        let updates = counter::from_redis(self.redis()?)?;
        counter::speed(updates, workers as usize, window)
    }

    fn redis(&self) -> Result<IpAddr> {
        let container = self.compose(&["ps", "--quiet", "redis"])?;
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = run(Command::new("docker")
            .args(["inspect", "--format", format])
            .arg(container.trim()))?;
        address.trim().parse().context("no address of redis")
    }

    /// Requests a service from another container on its network.
    pub(crate) fn probe(&self, options: &[&str], service: &str, requests: u32) -> Result<Times> {
        let network = format!("{}_default", self.programs.project());
        let image = format!("{}-rng", Programs::Baseline.project());
        let printed = run(Command::new("docker")
            .args(["run", "--rm", "--init", "--network", &network])
            .args(options)
            .args([&image, "probe", &requests.to_string(), service]))?;
        let mut times = Times {
            look_ups: Vec::new(),
            requests: Vec::new(),
        };
        for line in printed.lines() {
            let (look_up, request) = line.split_once(' ').context("unknown output")?;
            times.look_ups.push(look_up.parse::<f64>()? / 1000.0);
            times.requests.push(request.parse::<f64>()? / 1000.0);
        }
        Ok(times)
    }
}
