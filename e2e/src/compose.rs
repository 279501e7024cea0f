//! The application under Compose, as a project of the test's own beside any that is running.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// The application under Compose. Dropping it removes its containers, networks, volumes and images.
#[derive(Debug)]
pub struct Project {
    name: String,
    file: PathBuf,
}

impl Project {
    /// A project that is not started yet. Its Compose file is the repository's, but for the ports:
    /// the engine chooses free ones on 127.0.0.1, so that it does not collide with a running demo.
    ///
    /// # Errors
    ///
    /// When the Compose file cannot be read or its copy cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        let name = format!("dockercoins-test-{name}-{}", process::id());
        let mut text = fs::read_to_string(root().join("docker-compose.yml"))?;
        for port in ["8000", "8001", "8002"] {
            let published = format!("\"{port}:80\"");
            ensure!(
                text.contains(&published),
                "docker-compose.yml does not publish {published}"
            );
            text = text.replace(&published, "\"127.0.0.1::80\"");
        }
        let file = env::temp_dir().join(format!("{name}.yml"));
        fs::write(&file, text)?;
        Ok(Self { name, file })
    }

    /// Runs `docker compose`, or what the variable `COMPOSE` names, such as `docker-compose`, and
    /// returns what it printed.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn compose(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        ensure!(
            output.status.success(),
            "{arguments:?}: {}\n{printed}",
            output.status
        );
        Ok(printed)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let compose = env::var("COMPOSE").unwrap_or_else(|_| "docker compose".to_owned());
        let mut words = compose.split_whitespace();
        let output = Command::new(words.next().context("COMPOSE is empty")?)
            .args(words)
            .args(["--project-name", &self.name, "--project-directory"])
            .arg(root())
            .arg("--file")
            .arg(&self.file)
            .args(arguments)
            .output();
        output.with_context(|| format!("cannot run {compose:?}"))
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

    /// What webui tells the page.
    ///
    /// # Errors
    ///
    /// When it does not answer with JSON.
    pub async fn json(&self) -> Result<Value> {
        let url = self.url("webui")?;
        let text = reqwest::get(format!("{url}/json"))
            .await?
            .error_for_status()?
            .text()
            .await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The counter of hashes; 0 while there is none.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn hashes(&self) -> Result<u64> {
        let json = self.json().await?;
        Ok(json["hashes"].as_str().unwrap_or("0").parse()?)
    }

    /// Hashes a second, from the counter, over `time`.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn speed(&self, time: Duration) -> Result<f64> {
        let (start, before) = (Instant::now(), self.hashes().await?);
        sleep(time).await;
        let hashes = u32::try_from(self.hashes().await? - before)?;
        Ok(f64::from(hashes) / start.elapsed().as_secs_f64())
    }

    /// The filter with which `docker` lists what belongs to this project.
    #[must_use]
    pub fn label(&self) -> String {
        format!("label=com.docker.compose.project={}", self.name)
    }

    /// What the engine still has of this project: containers, networks, volumes and images.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub fn remains(&self) -> Result<String> {
        let label = self.label();
        let mut remains = String::new();
        for list in [
            vec!["ps", "--all", "--quiet", "--filter", &label],
            vec!["network", "ls", "--quiet", "--filter", &label],
            vec!["volume", "ls", "--quiet", "--filter", &label],
            vec![
                "images",
                "--quiet",
                "--filter",
                &format!("reference={}*", self.name),
            ],
        ] {
            remains += &docker(&list)?;
        }
        Ok(remains)
    }

    /// Removes all that there is of it.
    ///
    /// # Errors
    ///
    /// When Compose fails.
    pub fn down(&self) -> Result<()> {
        let everything = [
            "down",
            "--volumes",
            "--rmi",
            "local",
            "--remove-orphans",
            "--timeout",
            "3",
        ];
        self.compose(&everything).map(drop)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = self.down();
        let _ = fs::remove_file(&self.file);
    }
}

/// Runs `docker` and returns what it printed.
///
/// # Errors
///
/// When it fails.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .context("cannot run docker")?;
    if !output.status.success() {
        bail!(
            "docker {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Waits until `condition` holds, looking ten times a second, and returns how long it took.
///
/// # Errors
///
/// When it does not hold within `patience`, or cannot be asked.
pub async fn until(
    patience: Duration,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    while !condition().await? {
        ensure!(
            start.elapsed() < patience,
            "it did not come about within {patience:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
    Ok(start.elapsed())
}
