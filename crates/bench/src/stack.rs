//! The application under Compose, and the bare programs in its place: with the same Compose file, and
//! so with the same network, hardening and health checks.

use std::{
    env,
    fmt::Write,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context, Result, ensure};

use crate::{
    cleanup::Cleanup,
    command::{compose, docker, run},
    counter::Counter,
    process::Usage,
};

/// The services that are ours.
pub(crate) const SERVICES: [&str; 4] = ["rng", "hasher", "worker", "webui"];

/// The environment: with the simulated work of the workshop, without any, and without the log of
/// requests, which the engine cannot read as fast as they come.
pub(crate) const DELAY: &str = "DELAY: 100ms";
pub(crate) const NO_DELAY: &str = "DELAY: '0'";
pub(crate) const NO_DELAY_NO_LOG: &str = "DELAY: '0', RUST_LOG: 'info,access=off'";

/// What runs in the containers of a stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Programs {
    /// The application.
    Ours,
    /// The bare rng, hasher and worker, and the empty server as webui.
    Bare,
    /// The empty service as webui.
    Service,
    /// Programs that do nothing, in place of redis too, and are killed without delay.
    Idle,
}

/// The images of the application and of the package `bench`, built once.
pub(crate) struct Images {
    name: String,
    _cleanup: Cleanup,
}

impl Images {
    pub(crate) fn build() -> Result<Self> {
        let name = format!("dockercoins-bench-{}", process::id());
        let cleanup = Cleanup::new(&format!(
            "docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' '{name}/*' | xargs -r docker rmi"
        ))?;
        let images = Self {
            name,
            _cleanup: cleanup,
        };
        Stack::new(&images, Programs::Ours, DELAY)?.compose(&["build"])?;
        let (dockerfile, bench) = ("crates/bench/Dockerfile", images.of("bench"));
        run(Command::new("docker")
            .args([
                "build", "--quiet", "--file", dockerfile, "--tag", &bench, ".",
            ])
            .current_dir(root()))?;
        Ok(images)
    }

    pub(crate) fn of(&self, service: &str) -> String {
        format!("{}/{service}", self.name)
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A Compose project. Dropping it removes it.
pub(crate) struct Stack {
    pub(crate) programs: Programs,
    project: String,
    files: PathBuf,
    bench_image: String,
    _cleanup: Cleanup,
}

impl Stack {
    /// A project that is not started yet.
    pub(crate) fn new(images: &Images, programs: Programs, environment: &str) -> Result<Self> {
        let project = format!("dockercoins-bench-{}-{programs:?}", process::id()).to_lowercase();
        let files = env::temp_dir().join(&project);
        let label = format!("--filter label=com.docker.compose.project={project}");
        let cleanup = Cleanup::new(&format!(
            "docker ps -aq {label} | xargs -r docker rm -fv
             docker network ls -q {label} | xargs -r docker network rm
             rm -r '{}'",
            files.display()
        ))?;
        fs::create_dir_all(&files)?;
        // Ports that the engine chooses: beside a class's own stack, and with several rng.
        let mut base = fs::read_to_string(root().join("docker-compose.yml"))?;
        for port in ["8000:80", "8001:80", "8002:80"] {
            ensure!(
                base.contains(port),
                "docker-compose.yml does not publish {port}"
            );
            base = base.replace(port, "127.0.0.1::80");
        }
        fs::write(files.join("docker-compose.yml"), base)?;
        let changes = changes(images, programs, environment)?;
        fs::write(files.join("changes.yml"), changes)?;
        Ok(Self {
            programs,
            project,
            files,
            bench_image: images.of("bench"),
            _cleanup: cleanup,
        })
    }

    pub(crate) fn compose(&self, arguments: &[&str]) -> Result<()> {
        let mut command = compose();
        command
            .current_dir(root())
            .args(["--project-name", &self.project])
            .args(["--project-directory", "."])
            .arg("--file")
            .arg(self.files.join("docker-compose.yml"))
            .arg("--file")
            .arg(self.files.join("changes.yml"))
            .args(arguments);
        run(&mut command).map(drop)
    }

    /// Starts it, or scales it.
    pub(crate) fn up(&self, workers: u32, rngs: u32) -> Result<()> {
        let (workers, rngs) = (format!("worker={workers}"), format!("rng={rngs}"));
        self.compose(&[
            "up",
            "-d",
            "--no-build",
            "--scale",
            &workers,
            "--scale",
            &rngs,
        ])
    }

    pub(crate) fn stop(&self) -> Result<()> {
        self.compose(&["stop"])
    }

    /// The ids of the running containers of a service, or of all for an empty name.
    pub(crate) fn containers(&self, service: &str) -> Result<Vec<String>> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = match service {
            "" => "label=com.docker.compose.service".to_owned(),
            service => format!("label=com.docker.compose.service={service}"),
        };
        let ids = docker(&["ps", "-q", "--filter", &project, "--filter", &service])?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// A line for each container of a service, in the format of `docker inspect`.
    pub(crate) fn inspect(&self, service: &str, format: &str) -> Result<Vec<String>> {
        let containers = self.containers(service)?;
        ensure!(!containers.is_empty(), "no container of {service} runs");
        let mut arguments = vec!["inspect", "--format", format];
        arguments.extend(containers.iter().map(String::as_str));
        Ok(docker(&arguments)?.lines().map(str::to_owned).collect())
    }

    /// Where this machine reaches the first container of a service, without a proxy in between.
    pub(crate) fn address(&self, service: &str) -> Result<IpAddr> {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = self.inspect(service, format)?.swap_remove(0);
        address.parse().context("no address")
    }

    /// What each container of a service has used so far.
    pub(crate) fn usage(&self, service: &str) -> Result<Vec<Usage>> {
        let pids = self.inspect(service, "{{.State.Pid}}")?;
        pids.iter().map(|pid| Usage::of(pid.parse()?)).collect()
    }

    pub(crate) fn counter(&self) -> Result<Counter> {
        Counter::watch(self.address("redis")?)
    }

    /// Starts it with these workers, and waits until they work.
    pub(crate) fn up_and_working(&self, workers: u32, rngs: u32) -> Result<Counter> {
        self.up(workers, rngs)?;
        let counter = self.counter()?;
        let working = counter.ready(workers);
        ensure!(working > 0, "no worker works");
        Ok(counter)
    }

    /// Runs a program of the package's image on its network, and returns what it prints.
    pub(crate) fn run(&self, program: &[&str]) -> Result<String> {
        let label = format!("com.docker.compose.project={}", self.project);
        let network = format!("{}_default", self.project);
        let mut arguments = vec!["run", "--rm", "--network", &network, "--label", &label];
        arguments.push(&self.bench_image);
        arguments.extend_from_slice(program);
        docker(&arguments)
    }
}

/// What the second Compose file changes.
fn changes(images: &Images, programs: Programs, environment: &str) -> Result<String> {
    let bench = images.of("bench");
    let mut text = "services:\n".to_owned();
    for service in SERVICES.into_iter().chain(["redis"]) {
        let (image, entrypoint) = match (programs, service) {
            (Programs::Ours | Programs::Bare | Programs::Service, "redis") => continue,
            (Programs::Ours, _) => (&images.of(service), None),
            (Programs::Service, "webui") => (&bench, Some("/service".to_owned())),
            (Programs::Bare, "webui") => (&bench, Some("/empty".to_owned())),
            (Programs::Bare | Programs::Service, _) => (&bench, Some(format!("/bare, {service}"))),
            (Programs::Idle, _) => (&bench, Some("/bare, idle".to_owned())),
        };
        writeln!(text, "  {service}:\n    image: {image}")?;
        if let Some(entrypoint) = entrypoint {
            writeln!(text, "    entrypoint: [{entrypoint}]")?;
            // Not the programs that the health checks of ours are.
            text +=
                "    healthcheck: {test: [CMD, /bare, healthcheck], interval: 10s, timeout: 3s}\n";
        }
        if programs == Programs::Idle {
            writeln!(
                text,
                "    command: []\n    user: \"65534\"\n    stop_signal: SIGKILL"
            )?;
        } else {
            writeln!(text, "    environment: {{{environment}}}")?;
        }
    }
    Ok(text)
}

/// A file that only this process writes.
pub(crate) fn scratch_file(name: &str) -> PathBuf {
    env::temp_dir().join(format!("dockercoins-bench-{}-{name}", process::id()))
}
