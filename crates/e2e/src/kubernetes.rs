//! The application on Kubernetes, in a namespace of the test's own.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{cleanup::Cleanup, compose, root, run, sh};

/// What labs call the images that they deploy first.
const TAG: &str = "v0.1";

/// A namespace of the cluster that `KUBECONFIG` names, under the Pod Security Standard `restricted`,
/// with no application in it yet. Dropping it removes all that is in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// A copy of the cluster's, in which this namespace is the default, as labs have it.
    kubeconfig: PathBuf,
    images: &'static Images,
    proxy: Proxy,
    _cleanup: Cleanup,
}

impl Namespace {
    /// A namespace, with the images of the repository ready for its cluster.
    ///
    /// # Errors
    ///
    /// When no cluster is named or it does not answer, or when the images cannot be built.
    pub fn new(name: &str) -> Result<Self> {
        ensure!(
            env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG is not set: it must name the configuration of the cluster to test on"
        );
        let images = Images::get()?;
        let name = format!("dockercoins-test-{name}-{}", process::id());
        let kubeconfig = env::temp_dir().join(format!("{name}.kubeconfig"));
        let namespace = Self {
            _cleanup: Cleanup::new(&format!(
                "kubectl delete namespace {name} --ignore-not-found --wait=false
                 rm -f {}",
                kubeconfig.display()
            ))?,
            proxy: Proxy::new()?,
            name,
            kubeconfig,
            images,
        };
        // It holds keys, so nobody else may read it.
        sh(&format!(
            "umask 077 && kubectl config view --raw --flatten --minify >{}",
            namespace.kubeconfig.display()
        ))?;
        namespace.sh(&format!(
            "kubectl config set-context --current --namespace={0} &&
             kubectl create namespace {0} &&
             kubectl label namespace {0} pod-security.kubernetes.io/enforce=restricted",
            namespace.name
        ))?;
        Ok(namespace)
    }

    /// Runs what a lab types into a shell at the root of the repository. `kubectl` acts on this
    /// namespace, `$REGISTRY` and `$TAG` are those of the images.
    ///
    /// # Errors
    ///
    /// When it fails; with what it printed.
    pub fn sh(&self, line: &str) -> Result<String> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .current_dir(root())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("REGISTRY", &self.images.registry)
            .env("TAG", TAG);
        run(&mut shell)
    }

    /// Applies the manifests with the images of the test, by the command that the README has for
    /// that, and waits until all is up.
    ///
    /// # Errors
    ///
    /// When the cluster refuses them, or something does not come up.
    pub fn apply(&self) -> Result<()> {
        let readme = fs::read_to_string(root().join("README.md"))?;
        let command = readme
            .lines()
            .find(|line| line.contains("$REGISTRY") && line.contains("kubectl apply"))
            .context("the README does not say how to change registry and tag")?;
        self.sh(command)?;
        self.sh("kubectl wait --for=condition=Available --timeout=2m deployment --all")?;
        Ok(())
    }

    /// Gives worker so many replicas and waits until they are there, and no others.
    ///
    /// # Errors
    ///
    /// When they do not come up.
    pub fn scale(&self, workers: usize) -> Result<()> {
        self.sh(&format!(
            "kubectl scale deployment worker --replicas={workers} &&
             kubectl rollout status deployment worker --timeout=2m"
        ))
        .map(drop)
    }

    /// Objects of a kind, such as `services` or `pods -l app=rng`.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn get(&self, objects: &str) -> Result<Vec<Value>> {
        let list = self.sh(&format!("kubectl get {objects} -o json"))?;
        let mut list: Value = serde_json::from_str(&list).with_context(|| list)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => bail!("{objects} is no list"),
        }
    }

    /// The pods of a service in which its container runs. One that has ended may be listed by the
    /// cluster for long.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer.
    pub fn running(&self, service: &str) -> Result<Vec<Value>> {
        let mut pods = self.get(&format!("pods -l app={service}"))?;
        pods.retain(|pod| pod["status"]["containerStatuses"][0]["state"]["running"].is_object());
        Ok(pods)
    }

    /// Where the host reaches `services/<name>` or `pods/<name>`, through the API server.
    #[must_use]
    pub fn url(&self, resource: &str) -> String {
        let Self { name, proxy, .. } = self;
        format!(
            "{}/api/v1/namespaces/{name}/{resource}/proxy",
            proxy.address
        )
    }

    /// The counter of hashes; 0 while there is none.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn hashes(&self) -> Result<u64> {
        compose::hashes(&self.url("services/webui")).await
    }

    /// Hashes a second, from the counter, over `time`.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn speed(&self, time: Duration) -> Result<f64> {
        compose::speed(&self.url("services/webui"), time).await
    }
}

/// The images of the repository, built and tagged once for all namespaces of the process; v0.2 is a
/// slower worker. They are removed when the process ends.
#[derive(Debug)]
struct Images {
    registry: String,
    _cleanup: Cleanup,
}

impl Images {
    fn get() -> Result<&'static Self> {
        static IMAGES: OnceLock<Result<Images>> = OnceLock::new();
        match IMAGES.get_or_init(Self::build) {
            Ok(images) => Ok(images),
            Err(error) => bail!("the images cannot be built: {error:#}"),
        }
    }

    fn build() -> Result<Self> {
        // Where there is no registry, v0.3 is not found, and nobody else is asked for it.
        let registry = format!("127.0.0.1:5000/dockercoins-test-{}", process::id());
        let images = Self {
            // Once no container has them any more.
            _cleanup: Cleanup::new(&format!(
                "images() {{ docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' '{registry}/*'; }}
                 for second in $(seq 60); do
                     images | grep -q . || break
                     images | xargs docker rmi || sleep 1
                 done"
            ))?,
            registry,
        };
        for service in ["rng", "hasher", "webui", "worker"] {
            let arguments = format!("--file {service}/Dockerfile .");
            images.add(&format!("{service}:{TAG}"), &arguments)?;
        }
        let slower = format!(
            "- <<END\nFROM {}/worker:{TAG}\nENV DELAY=2s\nEND",
            images.registry
        );
        images.add("worker:v0.2", &slower)?;
        Ok(images)
    }

    /// Builds an image and gives it to the cluster.
    fn add(&self, image: &str, build: &str) -> Result<()> {
        let image = format!("{}/{image}", self.registry);
        for line in [
            format!("docker build --quiet --tag {image} {build}"),
            // Without the variable it is `:`, which does nothing.
            format!("${{LOAD_IMAGE:-:}} {image}"),
        ] {
            run(Command::new("sh").args(["-c", &line]).current_dir(root()))?;
        }
        Ok(())
    }
}

/// `kubectl proxy`, which lets a client without certificates talk to the cluster.
#[derive(Debug)]
struct Proxy {
    address: String,
    _kubectl: Child,
    _cleanup: Cleanup,
}

impl Proxy {
    fn new() -> Result<Self> {
        let mut kubectl = Command::new("kubectl")
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let cleanup = Cleanup::new(&format!("kill {}", kubectl.id()))?;
        let mut line = String::new();
        let printed = kubectl.stdout.take().context("kubectl prints nothing")?;
        BufReader::new(printed).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("Starting to serve on ")
            .with_context(|| format!("kubectl proxy does not start: {line:?}"))?;
        Ok(Self {
            address: format!("http://{address}"),
            _kubectl: kubectl,
            _cleanup: cleanup,
        })
    }
}
