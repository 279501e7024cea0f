//! The application on Kubernetes, in a namespace of the test's own.

use std::{env, path::PathBuf, process::Command, sync::LazyLock, time::Duration};

use serde_json::Value;

use crate::{
    BUILT, Running, Webui,
    cleanup::Cleanup,
    compose::{TAG, copy_repository, registry},
    run, sh, shell, unique,
};

/// A namespace of the cluster that `KUBECONFIG` names, with no application in it yet, and a copy of
/// the repository, which a lab may edit. Dropping it removes both.
pub struct Namespace {
    /// Its name, which is that of the copy's directory too.
    pub name: String,
    directory: PathBuf,
    /// The file; a copy of the cluster's, in which this namespace is the default, as in the labs.
    kubeconfig: String,
    /// Lets a client without certificates talk to the cluster.
    proxy: Running,
    _cleanup: Cleanup,
}

impl Namespace {
    /// A namespace under the Pod Security Standard `restricted`, with the images of the repository
    /// ready for its cluster.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        /// Once for all namespaces of the process.
        static LOADED: LazyLock<()> = LazyLock::new(|| {
            for service in BUILT {
                load(&format!("{}/{service}:{TAG}", registry()));
            }
        });
        let cluster = env::var("KUBECONFIG").unwrap_or_default();
        assert!(!cluster.is_empty(), "KUBECONFIG does not name a cluster");
        LazyLock::force(&LOADED);
        let name = unique(name);
        let directory = env::temp_dir().join(&name);
        let path = directory.display();
        let kubeconfig = format!("{path}.kubeconfig");
        let delete = format!("kubectl delete namespace {name} --ignore-not-found --wait=false");
        let cleanup = Cleanup::new(&format!("{delete}; rm -rf {path} {kubeconfig}"));
        copy_repository(&directory);
        // It contains keys: only the owner may read it.
        sh!(
            "umask 077 && kubectl config view --raw --flatten --minify >{kubeconfig} &&
             export KUBECONFIG={kubeconfig} &&
             kubectl config set-context --current --namespace={name} &&
             kubectl create namespace {name} &&
             kubectl label namespace {name} pod-security.kubernetes.io/enforce=restricted"
        );
        let proxy = Running::start(shell("exec kubectl proxy --port=0"));
        proxy.until(Duration::from_secs(10), |printed| printed.ends_with('\n'));
        Self {
            name,
            directory,
            kubeconfig,
            proxy,
            _cleanup: cleanup,
        }
    }

    /// A line for a shell at the root of the copy. `kubectl` acts on this namespace, `$REGISTRY` and
    /// `$TAG` are those of the images.
    fn command(&self, line: &str) -> Command {
        let mut shell = shell(format!("set -e\n{line}"));
        shell.current_dir(&self.directory);
        shell.env("KUBECONFIG", &self.kubeconfig);
        shell.env("REGISTRY", registry()).env("TAG", TAG);
        shell
    }

    /// Runs such a line and returns what it printed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        run(&self.command(line))
    }

    /// Applies the manifests with the images of the test, and waits until all is up.
    #[track_caller]
    pub fn apply(&self) {
        self.sh(
            "sed \"s|127.0.0.1:5000|$REGISTRY|; s|v0.1|$TAG|\" k8s/*.yaml | kubectl apply -f -",
        );
        self.sh("kubectl wait --for=condition=Available --timeout=2m deployment --all");
    }

    /// Waits until a Deployment has only pods of its current template.
    #[track_caller]
    pub fn until_rolled_out(&self, deployment: &str) {
        let status = "kubectl rollout status --timeout=2m deployment";
        self.sh(&format!("{status} {deployment}"));
    }

    /// Gives worker so many replicas and waits until they are there, and no others.
    #[track_caller]
    pub fn scale(&self, workers: usize) {
        let scale = "kubectl scale deployment worker --replicas";
        self.sh(&format!("{scale}={workers}"));
        self.until_rolled_out("worker");
    }

    /// Objects of a kind, such as `services` or `pods -l app=rng`.
    #[track_caller]
    pub fn get(&self, objects: &str) -> Vec<Value> {
        let list = self.sh(&format!("kubectl get {objects} -o json"));
        let mut list: Value = serde_json::from_str(&list).unwrap();
        serde_json::from_value(list["items"].take()).unwrap()
    }

    /// The pods of a service in which its container runs. One that has ended may be listed by the
    /// cluster for long.
    #[track_caller]
    pub fn running(&self, service: &str) -> Vec<Value> {
        let mut pods = self.get(&format!("pods -l app={service}"));
        pods.retain(|pod| pod["status"]["containerStatuses"][0]["state"]["running"].is_object());
        pods
    }

    /// The URL of `services/<name>` or `pods/<name>`, through the API server.
    pub fn url(&self, resource: &str) -> String {
        let (printed, name) = (self.proxy.printed(), &self.name);
        let proxy = printed.trim().trim_start_matches("Starting to serve on ");
        format!("http://{proxy}/api/v1/namespaces/{name}/{resource}/proxy")
    }

    /// Its webui.
    pub fn webui(&self) -> Webui {
        let url = self.url("services/webui");
        Webui { url }
    }
}

/// Gives an image to the cluster, where it has others than the engine. Without the variable the
/// command is `:`, which does nothing.
#[track_caller]
fn load(image: &str) {
    sh!("${{LOAD_IMAGE:-:}} {image}");
}
