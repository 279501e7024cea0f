//! The application under Compose, as a project of the test's own beside any that is running.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use crate::{
    BUILT, Running, Webui, cleanup::Cleanup, command::lines, get, inspect, log, run, sh, shell,
    unique, until,
};

/// Compose as a shell finds it: what the variable says, such as `docker-compose`.
pub const COMPOSE: &str = "${COMPOSE:-docker compose}";
/// The first tag of an image, as in the labs.
pub(crate) const TAG: &str = "v0.1";
/// On this port no registry listens: an engine that looks for an image before it starts a container
/// is refused at once, and takes the one that it has.
const REGISTRY: &str = "127.0.0.1:1";
/// A service answers within that on a slow machine.
const START_TIMEOUT: Duration = Duration::from_secs(40);

/// A project in a copy of the repository, which a test may edit. Compose takes the name of the
/// project from the directory, as in a class. Dropping it removes its containers, networks, volumes
/// and images.
pub struct Project {
    name: String,
    directory: PathBuf,
    /// What the names of its images begin with.
    registry: String,
    /// What the engine labels all that belongs to it with.
    pub label: String,
    _cleanup: Cleanup,
}

impl Project {
    /// A project that is not started yet, with the images that all tests share.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Self::create(unique(name), registry().to_owned())
    }

    /// A project whose images are not built yet.
    #[track_caller]
    pub fn with_own_images(name: &str) -> Self {
        let name = unique(name);
        let registry = format!("{REGISTRY}/{name}");
        Self::create(name, registry)
    }

    /// The Compose file is the repository's, but for the names of the images, and the ports: the
    /// engine chooses free ones on 127.0.0.1, so that it does not collide with a running demo.
    #[track_caller]
    fn create(name: String, registry: String) -> Self {
        let directory = env::temp_dir().join(&name);
        let label = format!("com.docker.compose.project={name}");
        let path = directory.display();
        let remove = format!("remove_labelled {label}; remove_images {REGISTRY}/{name}");
        let cleanup = Cleanup::new(&format!("{remove}; rm -rf '{path}'"));
        copy_repository(&directory);
        let project = Self {
            name,
            directory,
            registry,
            label,
            _cleanup: cleanup,
        };
        for port in ["8000", "8001", "8002"] {
            project.edit(&format!("\"{port}:80\""), "\"127.0.0.1::80\"");
        }
        for service in BUILT {
            project.set(service, &format!("image: {}", project.image(service)));
        }
        project
    }

    /// The name of its only network.
    pub fn network(&self) -> String {
        format!("{}_default", self.name)
    }

    /// The image of a service that is built here.
    pub fn image(&self, service: &str) -> String {
        format!("{}/{service}:{TAG}", self.registry)
    }

    /// Replaces what stands once in the Compose file.
    #[track_caller]
    pub fn edit(&self, old: &str, new: &str) {
        self.edit_file("docker-compose.yml", old, new);
    }

    /// Replaces what stands once in a file.
    #[track_caller]
    pub fn edit_file(&self, file: &str, old: &str, new: &str) {
        let path = self.directory.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old:?} in {file}");
        fs::write(path, text.replace(old, new)).unwrap();
    }

    /// Adds a line to a service in the Compose file, such as `environment: {DELAY: 500ms}`.
    #[track_caller]
    pub fn set(&self, service: &str, line: &str) {
        let service = format!("\n  {service}:\n");
        self.edit(&service, &format!("{service}    {line}\n"));
    }

    /// A command of Compose, such as `up -d`.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = shell(format!("exec {COMPOSE} {arguments}"));
        command.current_dir(&self.directory);
        command
    }

    /// A block of commands of a lab: `docker-compose` is the Compose that the tests use, `$REGISTRY`
    /// and `$TAG` are those of the images.
    pub fn lab(&self, block: &str) -> Command {
        let compose = format!("{COMPOSE} ");
        let block = block.replace("docker-compose ", &compose);
        let mut command = shell(format!("set -e\n{block}"));
        command.current_dir(&self.directory);
        command.env("REGISTRY", &self.registry).env("TAG", TAG);
        command
    }

    /// Runs a command of Compose and returns what it printed.
    #[track_caller]
    pub fn compose(&self, arguments: &str) -> String {
        run(&self.command(arguments))
    }

    /// Starts all services, with so many workers, and waits until each of them has counted units, so
    /// that a mean from now on is one of them all.
    #[track_caller]
    pub fn scale(&self, workers: usize) {
        self.compose(&format!("up -d --scale worker={workers}"));
        self.until_all_work();
    }

    #[track_caller]
    fn until_all_work(&self) {
        for worker in self.containers("worker") {
            // The first update is of none.
            let works = |log: &str| log.matches(log::UPDATE).count() >= 3;
            Running::log(&worker).until(Duration::from_secs(30), works);
        }
    }

    /// Starts one service, waits until it answers, and returns its URL.
    #[track_caller]
    pub fn up(&self, service: &str) -> String {
        self.compose(&format!("up -d {service}"));
        let url = self.url(service);
        until(START_TIMEOUT, || get(&url).is_ok());
        url
    }

    /// The published port of a service, as a URL without a slash at the end.
    #[track_caller]
    pub fn url(&self, service: &str) -> String {
        format!("http://{}", self.compose(&format!("port {service} 80")))
    }

    /// Its webui. After a restart that is elsewhere, since the engine chooses another port.
    #[track_caller]
    pub fn webui(&self) -> Webui {
        let url = self.url("webui");
        Webui { url }
    }

    /// What a listing of `docker` has of this project, such as `ps -aq` or `network ls -q`.
    #[track_caller]
    pub fn list(&self, listing: &str) -> Vec<String> {
        lines(format!("docker {listing} --filter label={}", self.label))
    }

    /// The containers of a service, by id.
    #[track_caller]
    pub fn containers(&self, service: &str) -> Vec<String> {
        let label = format!("com.docker.compose.service={service}");
        self.list(&format!("ps -aq --filter label={label}"))
    }

    /// The address of a service's first container, with no proxy of the engine in between.
    #[track_caller]
    pub fn address(&self, service: &str) -> String {
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        inspect(&self.containers(service), address).remove(0)
    }

    /// What the containers of a service have logged, one after the other.
    #[track_caller]
    pub fn log(&self, service: &str) -> String {
        let containers = self.containers(service).join(" ");
        sh!("for id in {containers}; do docker logs $id; done")
    }

    /// Asserts that all its containers, so many, have exited with code 0. A killed one has 137.
    #[track_caller]
    pub fn assert_exited_with_0(&self, containers: usize) {
        let state = "{{.Name}} {{.State.Status}} {{.State.ExitCode}}";
        let states = inspect(&self.list("ps -aq"), state);
        assert_eq!(states.len(), containers, "{states:#?}");
        let exited_with_0 = |state: &String| state.ends_with(" exited 0");
        assert!(states.iter().all(exited_with_0), "{states:#?}");
    }
}

/// Copies the repository, without what Git and Cargo add to it, into a new directory.
#[track_caller]
pub(crate) fn copy_repository(directory: &Path) {
    let copy = "tar --exclude ./target --exclude ./.git -c .";
    let path = directory.display();
    sh!("mkdir '{path}' && {copy} | tar -C '{path}' -x");
}

/// The registry part of the names of the images that all tests of the process share, once built.
pub fn registry() -> &'static str {
    static IMAGES: LazyLock<Project> = LazyLock::new(|| {
        let project = Project::with_own_images("images");
        project.compose("build");
        project
    });
    &IMAGES.registry
}
