//! The application under Compose, as a project of the test's own beside any that is running.

use std::{
    env, fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{Running, cleanup::Cleanup, docker, root, run, sh, until};

/// What the log of a worker says once a second.
pub const WORKS: &str = "units of work done, updating hash counter";

/// The application under Compose. Dropping it removes its containers, networks, volumes and images.
#[derive(Debug)]
pub struct Project {
    name: String,
    file: PathBuf,
    /// A copy of the repository, if it has one of its own.
    copy: Option<PathBuf>,
    _cleanup: Cleanup,
}

impl Project {
    /// A project that is not started yet, with the images of the repository, built once for all
    /// projects of the process.
    ///
    /// # Errors
    ///
    /// When the images cannot be built.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_images(unique(name), &images()?.name, None)
    }

    /// A project for a test of the build itself.
    ///
    /// # Errors
    ///
    /// When the copy of the Compose file cannot be written.
    pub fn with_images_of_its_own(name: &str) -> Result<Self> {
        let name = unique(name);
        Self::with_images(name.clone(), &name, None)
    }

    /// A project with a copy of the repository that the test may edit. Compose runs in that
    /// directory, and takes the name of the project from it, as a class has it.
    ///
    /// # Errors
    ///
    /// When the images cannot be built, or the copy cannot be written.
    pub fn with_a_copy(name: &str) -> Result<Self> {
        let name = unique(name);
        let copy = env::temp_dir().join(&name);
        Self::with_images(name, &images()?.name, Some(copy))
    }

    /// Its Compose file is the repository's, but for the names of the images, and the ports: the
    /// engine chooses free ones on 127.0.0.1, so that it does not collide with a running demo.
    fn with_images(name: String, images: &str, copy: Option<PathBuf>) -> Result<Self> {
        let mut text = fs::read_to_string(root().join("docker-compose.yml"))?;
        for port in ["8000", "8001", "8002"] {
            let published = format!("\"{port}:80\"");
            text = replaced(&text, &published, "\"127.0.0.1::80\"")?;
        }
        for service in ["rng", "hasher", "worker", "webui"] {
            let dockerfile = format!("dockerfile: {service}/Dockerfile\n");
            let image = format!("{dockerfile}    image: {images}/{service}\n");
            text = replaced(&text, &dockerfile, &image)?;
        }
        let file = match &copy {
            Some(copy) => copy.join("docker-compose.yml"),
            None => env::temp_dir().join(format!("{name}.yml")),
        };
        let label = label(&name);
        // By name: an image may have other names, which are not ours to remove. An image that is in
        // use is not for long: the containers of its projects are being removed as well.
        let cleanup = Cleanup::new(&format!(
            "while docker ps -aq --filter {label} | grep -q .; do
                 docker ps -aq --filter {label} | xargs docker rm -fv
             done
             for patience in $(seq 60); do
                 docker network ls -q --filter {label} | grep -q . || break
                 docker network ls -q --filter {label} | xargs docker network rm || sleep 1
             done
             docker volume ls -q --filter {label} | xargs -r docker volume rm
             images() {{ docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' '{name}/*'; }}
             for patience in $(seq 60); do
                 images | grep -q . || break
                 images | xargs docker rmi || sleep 1
             done
             rm -rf '{}'",
            copy.as_ref().unwrap_or(&file).display()
        ))?;
        if let Some(copy) = &copy {
            sh(&format!(
                "mkdir '{copy}' && tar -C '{root}' --exclude ./target --exclude ./.git -c . | tar -C '{copy}' -x",
                copy = copy.display(),
                root = root().display()
            ))?;
        }
        fs::write(&file, text)?;
        Ok(Self {
            name,
            file,
            copy,
            _cleanup: cleanup,
        })
    }

    /// Its name, which is also that of its images if it has its own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory that its Compose file is about: the root of the repository, or the copy of it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.copy.as_deref().unwrap_or(root())
    }

    /// Changes its Compose file.
    ///
    /// # Errors
    ///
    /// When `old` does not stand in it.
    pub fn edit(&self, old: &str, new: &str) -> Result<()> {
        let text = replaced(&fs::read_to_string(&self.file)?, old, new)?;
        Ok(fs::write(&self.file, text)?)
    }

    /// Sets variables of a service, such as `DELAY: 500ms`.
    ///
    /// # Errors
    ///
    /// When it is not one of our four services.
    pub fn set(&self, service: &str, variables: &str) -> Result<()> {
        let place = format!("dockerfile: {service}/Dockerfile\n");
        let environment = format!("{place}    environment: {{{variables}}}\n");
        self.edit(&place, &environment)
    }

    /// Runs `docker compose`, or what the variable `COMPOSE` names, such as `docker-compose`, and
    /// returns what it printed.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn compose(&self, arguments: &[&str]) -> Result<String> {
        run(self.command()?.args(arguments))
    }

    /// The command of Compose for this project, without arguments.
    ///
    /// # Errors
    ///
    /// When `COMPOSE` is empty.
    pub fn command(&self) -> Result<Command> {
        let compose = env::var("COMPOSE").unwrap_or_else(|_| "docker compose".to_owned());
        let mut words = compose.split_whitespace();
        let mut command = Command::new(words.next().context("COMPOSE is empty")?);
        command.args(words).current_dir(self.directory());
        if self.copy.is_none() {
            command.args(["--project-name", &self.name, "--project-directory", "."]);
            command.arg("--file").arg(&self.file);
        }
        Ok(command)
    }

    /// Starts it with so many workers.
    ///
    /// # Errors
    ///
    /// When Compose fails.
    pub fn scale(&self, workers: usize) -> Result<()> {
        let scale = format!("worker={workers}");
        self.compose(&["up", "-d", "--scale", &scale]).map(drop)
    }

    /// Where the host reaches a service.
    ///
    /// # Errors
    ///
    /// When the service does not run, or has no published port.
    pub fn url(&self, service: &str) -> Result<String> {
        let address = self.compose(&["port", service, "80"])?;
        Ok(format!("http://{}", address.trim()))
    }

    /// The containers of a service, by id.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub fn containers(&self, service: &str) -> Result<Vec<String>> {
        let service = format!("label=com.docker.compose.service={service}");
        let (filter, project) = ("--filter", self.label());
        let ids = docker(&["ps", "-aq", filter, &project, filter, &service])?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// The address of a service's first container, where this machine reaches it without a proxy of
    /// the engine in between.
    ///
    /// # Errors
    ///
    /// When the service does not run.
    pub fn address(&self, service: &str) -> Result<IpAddr> {
        let containers = self.containers(service)?;
        let container = containers.first().context("no container")?;
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = docker(&["inspect", "--format", address, container])?;
        Ok(address.trim().parse()?)
    }

    /// What the containers of a service have logged, one after the other.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub fn log(&self, service: &str) -> Result<String> {
        let containers = self.containers(service)?;
        containers.iter().map(|id| docker(&["logs", id])).collect()
    }

    /// Waits until each worker has counted units, so that a mean from now on is one of them all.
    ///
    /// # Errors
    ///
    /// When one does not.
    pub async fn until_all_work(&self) -> Result<()> {
        for worker in self.containers("worker")? {
            let log = Running::log_of(&worker)?;
            // The first update is of none.
            until(Duration::from_secs(30), async || {
                Ok(log.printed().matches(WORKS).count() >= 3)
            })
            .await
            .context("a worker does not work")?;
        }
        Ok(())
    }

    /// The name of its only network.
    #[must_use]
    pub fn network(&self) -> String {
        format!("{}_default", self.name)
    }

    /// What webui tells the page.
    ///
    /// # Errors
    ///
    /// When it does not answer with JSON.
    pub async fn json(&self) -> Result<Value> {
        json(&self.url("webui")?).await
    }

    /// The counter of hashes; 0 while there is none.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn hashes(&self) -> Result<u64> {
        hashes(&self.url("webui")?).await
    }

    /// Hashes a second, from the counter, over `time`.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn speed(&self, time: Duration) -> Result<f64> {
        speed(&self.url("webui")?, time).await
    }

    /// The filter with which `docker` lists what belongs to this project.
    #[must_use]
    pub fn label(&self) -> String {
        label(&self.name)
    }

    /// What the engine still has of this project: containers, networks and volumes.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub fn remains(&self) -> Result<String> {
        let label = self.label();
        let lists = [
            docker(&["ps", "-aq", "--filter", &label])?,
            docker(&["network", "ls", "-q", "--filter", &label])?,
            docker(&["volume", "ls", "-q", "--filter", &label])?,
        ];
        Ok(lists.concat())
    }
}

/// What the webui at this URL tells the page.
///
/// # Errors
///
/// When it does not answer with JSON.
pub async fn json(webui: &str) -> Result<Value> {
    let response = reqwest::get(format!("{webui}/json")).await?;
    let text = response.error_for_status()?.text().await?;
    Ok(serde_json::from_str(&text)?)
}

/// The counter of hashes, from the webui at this URL; 0 while there is none.
///
/// # Errors
///
/// When it does not answer.
pub async fn hashes(webui: &str) -> Result<u64> {
    let json = json(webui).await?;
    Ok(json["hashes"].as_str().unwrap_or("0").parse()?)
}

/// Hashes a second over `time`, from the webui at this URL: from one update of the counter to
/// another, since in between it stands still.
///
/// # Errors
///
/// When it does not answer.
pub async fn speed(webui: &str, time: Duration) -> Result<f64> {
    let (start, before) = update(webui).await?;
    sleep(time).await;
    let (end, after) = update(webui).await?;
    let hashes = u32::try_from(after.saturating_sub(before))?;
    Ok(f64::from(hashes) / (end - start).as_secs_f64())
}

/// Waits for the counter to move, and says when it did and to what. One that does not is as it is.
async fn update(webui: &str) -> Result<(Instant, u64)> {
    let (start, before) = (Instant::now(), hashes(webui).await?);
    loop {
        let (now, hashes) = (Instant::now(), hashes(webui).await?);
        if hashes != before || start.elapsed() > Duration::from_secs(2) {
            return Ok((now, hashes));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The images of the repository, built once for the process.
///
/// # Errors
///
/// When they cannot be built.
pub fn images() -> Result<&'static Project> {
    static IMAGES: OnceLock<Result<Project>> = OnceLock::new();
    let images = IMAGES.get_or_init(|| {
        let images = Project::with_images_of_its_own("images")?;
        images.compose(&["build"])?;
        Ok(images)
    });
    // Seen whole by whoever comes first.
    let failed = |error| anyhow!("the images cannot be built: {error:?}");
    images.as_ref().map_err(failed)
}

/// A name that no other process has for its project.
pub(crate) fn unique(name: &str) -> String {
    format!("dockercoins-test-{name}-{}", process::id())
}

fn label(project: &str) -> String {
    format!("label=com.docker.compose.project={project}")
}

pub(crate) fn replaced(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.contains(old), "docker-compose.yml has no {old:?}");
    Ok(text.replace(old, new))
}
