//! The application on a swarm of one node, as a stack of the test's own beside any that is running.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    cleanup::Cleanup,
    compose::{self, images, replaced, unique},
    docker, root, run, sh, until,
};

/// The services of the stack.
pub const SERVICES: [&str; 5] = ["hasher", "redis", "rng", "webui", "worker"];

/// No registry is needed: on this port none listens. So the engine, which asks for an image before
/// each task, is refused at once, and takes the one that it has.
const REGISTRY: &str = "127.0.0.1:1";

/// A stack is up before that on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The application on a swarm. Dropping it removes the stack, and the swarm if there was none and no
/// other container runs.
#[derive(Debug)]
pub struct Stack {
    name: String,
    file: PathBuf,
    virtual_ips: bool,
    _cleanup: Cleanup,
    _turn: MutexGuard<'static, ()>,
}

impl Stack {
    /// Deploys the stack file of the repository with these variables, once no other stack of the
    /// process is there any more, and waits until all of its tasks run.
    ///
    /// # Errors
    ///
    /// When the engine is not the manager of a swarm and cannot become one, or the stack does not
    /// come up.
    pub async fn deploy(name: &str, variables: &[(&str, &str)]) -> Result<Self> {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let name = unique(name);
        let images = images()?.name();
        let file = env::temp_dir().join(format!("{name}.yml"));
        let state = docker(&["info", "--format", "{{.Swarm.LocalNodeState}}"])?;
        let new_swarm = state.trim() == "inactive";
        let cleanup = clean_up(&name, &file, new_swarm)?;
        if new_swarm {
            docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
        }
        for service in ["rng", "hasher", "worker", "webui"] {
            let image = format!("{images}/{service}");
            docker(&["tag", &image, &format!("{REGISTRY}/{name}/{service}")])?;
        }
        let stack = Self {
            virtual_ips: virtual_ips_answer().await?,
            name,
            file,
            _cleanup: cleanup,
            _turn: turn,
        };
        fs::write(&stack.file, stack.text()?)?;
        let printed = run(stack.deploy_command().envs(variables.iter().copied()))?;
        // That something in the file is unsupported, ignored or deprecated.
        for complaint in ["unsupported", "ignor", "deprecated", "warn"] {
            ensure!(!printed.to_lowercase().contains(complaint), "{printed}");
        }
        until(PATIENCE, async || stack.is_up()).await?;
        Ok(stack)
    }

    /// The stack file of the repository, but for the published port, which the engine chooses, so
    /// that it does not collide with a running demo.
    fn text(&self) -> Result<String> {
        let text = fs::read_to_string(root().join("docker-stack.yml"))?;
        if self.virtual_ips {
            return replaced(&text, "- \"8000:80\"", "- {target: 80, mode: ingress}");
        }
        // Then the names lead to the tasks, and a port is that of a task, not of the swarm.
        let text = replaced(&text, "- \"8000:80\"", "- {target: 80, mode: host}")?;
        let deploy = "    deploy:\n";
        ensure!(text.matches(deploy).count() == SERVICES.len(), "{text}");
        replaced(
            &text,
            deploy,
            &format!("{deploy}      endpoint_mode: dnsrr\n"),
        )
    }

    fn deploy_command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .args(["stack", "deploy", "--resolve-image", "never"])
            .arg("--compose-file")
            .arg(&self.file)
            .arg(&self.name)
            .env("REGISTRY", format!("{REGISTRY}/{}", self.name))
            .env_remove("TAG");
        command
    }

    /// Whether all tasks of all services run, and are healthy.
    fn is_up(&self) -> Result<bool> {
        let label = label(&self.name);
        let replicas = ["service", "ls", "--format", "{{.Replicas}}", "--filter"];
        let replicas = docker(&[&replicas[..], &[&label]].concat())?;
        let all_run = |replicas: &str| {
            let tasks = replicas.split_whitespace().next();
            tasks
                .and_then(|tasks| tasks.split_once('/'))
                .is_some_and(|(running, wanted)| running == wanted && wanted != "0")
        };
        let services = replicas.lines().count();
        Ok(services == SERVICES.len() && replicas.lines().all(all_run))
    }

    /// Whether virtual IPs answer here: the kernel may have no IPVS. If they do not, the names of
    /// the stack lead to its tasks (`endpoint_mode: dnsrr`), and the port is published by the host.
    #[must_use]
    pub fn virtual_ips(&self) -> bool {
        self.virtual_ips
    }

    /// The name of a service in the swarm.
    #[must_use]
    pub fn service(&self, service: &str) -> String {
        format!("{}_{service}", self.name)
    }

    /// Changes a service as `docker service update` does, without waiting for its tasks.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub fn update(&self, service: &str, arguments: &[&str]) -> Result<()> {
        let update = ["service", "update", "--detach", "--no-resolve-image"];
        docker(&[&update, arguments, &[&self.service(service)]].concat()).map(drop)
    }

    /// Takes a service back to what it was before the last update, without waiting for its tasks.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub fn roll_back(&self, service: &str) -> Result<()> {
        docker(&["service", "rollback", "--detach", &self.service(service)]).map(drop)
    }

    /// Scales a service and waits until as many tasks run.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub async fn scale(&self, service: &str, replicas: usize) -> Result<()> {
        let scale = format!("{}={replicas}", self.service(service));
        docker(&["service", "scale", "--detach", &scale])?;
        until(PATIENCE, async || {
            Ok(self.is_up()? && self.containers(service)?.len() == replicas)
        })
        .await
        .map(drop)
    }

    /// Something of a service, by a template of `docker service inspect`.
    ///
    /// # Errors
    ///
    /// When there is no such thing.
    pub fn inspect(&self, service: &str, template: &str) -> Result<String> {
        let service = self.service(service);
        let printed = docker(&["service", "inspect", "--format", template, &service])?;
        Ok(printed.trim().to_owned())
    }

    /// How far the last update of a service is, such as `updating` or `rollback_completed`.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub fn update_state(&self, service: &str) -> Result<String> {
        self.inspect(service, "{{with .UpdateStatus}}{{.State}}{{end}}")
    }

    /// The running containers of a service, by id.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub fn containers(&self, service: &str) -> Result<Vec<String>> {
        let label = format!(
            "label=com.docker.swarm.service.name={}",
            self.service(service)
        );
        let ids = docker(&["ps", "-q", "--no-trunc", "--filter", &label])?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// Something of each running container of a service, by a template of `docker inspect`.
    ///
    /// # Errors
    ///
    /// When there is none, or no such thing.
    pub fn inspect_containers(&self, service: &str, template: &str) -> Result<Vec<String>> {
        let containers = self.containers(service)?;
        let ids = containers.iter().map(String::as_str);
        let inspect = ["inspect", "--format", template].into_iter();
        let printed = docker(&inspect.chain(ids).collect::<Vec<_>>())?;
        Ok(printed.lines().map(str::to_owned).collect())
    }

    /// Where the host reaches webui.
    ///
    /// # Errors
    ///
    /// When no task of it runs.
    pub fn url(&self) -> Result<String> {
        let port = if self.virtual_ips {
            self.inspect("webui", "{{(index .Endpoint.Ports 0).PublishedPort}}")?
        } else {
            let port = "{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostPort}}";
            let mut ports = self.inspect_containers("webui", port)?;
            ports.pop().context("webui does not run")?
        };
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// The counter of hashes; 0 while there is none.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn hashes(&self) -> Result<u64> {
        compose::hashes(&self.url()?).await
    }

    /// Hashes a second, from the counter, over `time`.
    ///
    /// # Errors
    ///
    /// When webui does not answer.
    pub async fn speed(&self, time: Duration) -> Result<f64> {
        compose::speed(&self.url()?, time).await
    }
}

/// What removes the stack, and then the swarm if it is new, with the bridge that it leaves behind.
///
/// An engine that leaves a swarm forgets the names of all containers on it (seen on 20.10): those
/// of a running demo would find one another no more. So while any container runs, it stays in.
fn clean_up(name: &str, file: &Path, new_swarm: bool) -> Result<Cleanup> {
    let bridge = "docker network ls -q --filter name=^docker_gwbridge$";
    let no_bridge = sh(bridge)?.is_empty();
    let leave = if new_swarm {
        "running=$(docker ps -q) && [ -z \"$running\" ] && docker swarm leave --force"
    } else {
        "false"
    };
    // It takes a moment until nothing is attached to it.
    let remove_bridge = if no_bridge {
        "for attempt in 1 2 3 4 5 6 7 8 9 10; do
             docker network rm docker_gwbridge && break
             sleep 0.5
         done"
    } else {
        "true"
    };
    let label = label(name);
    Cleanup::new(&format!(
        "docker stack rm {name}
         while {{ docker service ls -q --filter {label}; docker ps -aq --filter {label}; }} | grep -q .; do
             docker service ls -q --filter {label} | xargs -r docker service rm
             docker ps -aq --filter {label} | xargs -r docker rm -fv
         done
         for attempt in 1 2 3 4 5 6 7 8 9 10; do
             docker network ls -q --filter {label} | grep -q . || break
             docker network ls -q --filter {label} | xargs -r docker network rm
             sleep 0.5
         done
         docker images --format '{{{{.Repository}}}}' '{REGISTRY}/{name}/*' | xargs -r docker rmi
         rm -f {}
         if {leave}; then {remove_bridge}; fi",
        file.display()
    ))
}

/// Whether a service answers at its virtual IP, asked of a small one. Found out once.
async fn virtual_ips_answer() -> Result<bool> {
    static ANSWER: OnceCell<bool> = OnceCell::const_new();
    let find_out = async || {
        let name = unique("ipvs");
        let _cleanup = Cleanup::new(&format!(
            "docker service rm {name}
             for attempt in 1 2 3 4 5; do docker network rm {name} && break; sleep 1; done"
        ))?;
        docker(&[
            "network",
            "create",
            "--driver",
            "overlay",
            "--attachable",
            &name,
        ])?;
        let create = ["service", "create", "--detach", "--no-resolve-image"];
        let redis = ["--name", &name, "--network", &name, "redis:8-alpine"];
        docker(&[&create[..], &redis].concat())?;
        // At first the addresses of its tasks, which need no IPVS: then it is there.
        let ask = format!(
            "attempts=0
             until timeout 2 redis-cli -h tasks.{name} ping; do
                 attempts=$((attempts + 1)); [ $attempts -lt 50 ] || exit 1; sleep 0.5
             done
             for attempt in 1 2 3; do
                 if timeout 2 redis-cli -h {name} ping; then echo It answers.; exit; fi
             done"
        );
        let client = ["run", "--rm", "--network", &name, "--entrypoint", "sh"];
        let printed = docker(&[&client[..], &["redis:8-alpine", "-c", &ask]].concat())?;
        Ok(printed.contains("It answers."))
    };
    ANSWER.get_or_try_init(find_out).await.copied()
}

/// The filter with which `docker` lists what belongs to a stack.
fn label(stack: &str) -> String {
    format!("label=com.docker.stack.namespace={stack}")
}
