//! The application under Compose, as a project of the test's own beside any that is running.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{cleanup::Cleanup, docker, root, run};

/// The application under Compose. Dropping it removes its containers, networks, volumes and images.
#[derive(Debug)]
pub struct Project {
    name: String,
    images: String,
    file: PathBuf,
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
        static IMAGES: OnceLock<Result<Project>> = OnceLock::new();
        let images = IMAGES.get_or_init(|| {
            let images = Self::with_images_of_its_own("images")?;
            images.compose(&["build"])?;
            Ok(images)
        });
        let Ok(images) = images else {
            // Seen whole by whoever comes first.
            anyhow::bail!("the images cannot be built: {images:?}");
        };
        Self::with_images(name, &images.name)
    }

    /// A project for a test of the build itself.
    ///
    /// # Errors
    ///
    /// When the copy of the Compose file cannot be written.
    pub fn with_images_of_its_own(name: &str) -> Result<Self> {
        Self::with_images(name, &unique(name))
    }

    /// Its Compose file is the repository's, but for the names of the images, and the ports: the
    /// engine chooses free ones on 127.0.0.1, so that it does not collide with a running demo.
    fn with_images(name: &str, images: &str) -> Result<Self> {
        let name = unique(name);
        let images = images.to_owned();
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
        let file = env::temp_dir().join(format!("{name}.yml"));
        fs::write(&file, text)?;
        let label = label(&name);
        let cleanup = Cleanup::new(&format!(
            "while docker ps -aq --filter {label} | grep -q .; do
                 docker ps -aq --filter {label} | xargs docker rm -fv
             done
             docker network ls -q --filter {label} | xargs -r docker network rm
             docker volume ls -q --filter {label} | xargs -r docker volume rm
             docker images -q '{name}/*' | xargs -r docker rmi -f
             rm -f {}",
            file.display()
        ))?;
        Ok(Self {
            name,
            images,
            file,
            _cleanup: cleanup,
        })
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
        command
            .args(words)
            .args(["--project-name", &self.name, "--project-directory"])
            .arg(root())
            .arg("--file")
            .arg(&self.file);
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

    /// The image of a service.
    #[must_use]
    pub fn image(&self, service: &str) -> String {
        format!("{}/{service}", self.images)
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

/// A name that no other process has for its project.
fn unique(name: &str) -> String {
    format!("dockercoins-test-{name}-{}", process::id())
}

fn label(project: &str) -> String {
    format!("label=com.docker.compose.project={project}")
}

fn replaced(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.contains(old), "docker-compose.yml has no {old:?}");
    Ok(text.replace(old, new))
}
