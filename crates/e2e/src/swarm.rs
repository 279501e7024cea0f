//! The application on a swarm of one node, as a stack of the test's own beside any that is running.

use std::{
    fs,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    SERVICES, Webui,
    cleanup::Cleanup,
    command::lines,
    compose::{TAG, registry},
    inspect, root, sh, unique, until,
};

/// A stack is up within that on a slow machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A stack. Dropping it removes it, and the swarm if there was none and no other container runs.
pub struct Stack {
    /// Its name, which the names of its services begin with.
    name: String,
    _cleanup: Cleanup,
    _turn: MutexGuard<'static, ()>,
}

impl Stack {
    /// The label of what belongs to a stack.
    const LABEL: &str = "com.docker.stack.namespace";

    /// Deploys the stack file of the repository with the images that all tests share, and with these
    /// variables, such as `RNG_MODE=replicated`.
    #[track_caller]
    pub fn deploy(name: &str, variables: &str) -> Self {
        let variables = format!("REGISTRY={} TAG={TAG} {variables}", registry());
        Self::pull(name, &variables)
    }

    /// Deploys the stack file with the images that the variables `REGISTRY` and `TAG` name, once no
    /// other stack of the process is there any more, and waits until all of its tasks run.
    #[track_caller]
    pub fn pull(name: &str, variables: &str) -> Self {
        let stack = Self::nothing(name);
        let name = &stack.name;
        let deploy = "docker stack deploy --resolve-image never --compose-file -";
        let file = stack_file();
        let printed = sh!("{variables} {deploy} {name} <<'END'\n{file}END");
        // That something in the file is unsupported, ignored or deprecated.
        for complaint in ["unsupported", "ignor", "deprecated", "warn"] {
            assert!(!printed.to_lowercase().contains(complaint), "{printed}");
        }
        until(START_TIMEOUT, || stack.is_up());
        stack
    }

    /// A stack without services, on a swarm.
    fn nothing(name: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = unique(name);
        let label = format!("{}={name}", Self::LABEL);
        let remove = format!("docker stack rm {name}; remove_labelled {label}");
        let cleanup = join_swarm(&remove);
        Self {
            name,
            _cleanup: cleanup,
            _turn: turn,
        }
    }

    /// Whether all tasks of all services run, and are healthy.
    fn is_up(&self) -> bool {
        let filter = format!("--filter label={}={}", Self::LABEL, self.name);
        let replicas = "docker service ls --format '{{.Replicas}}'";
        let all_run = r"grep -cE '^([1-9][0-9]*)/\1( |$)' || true";
        sh!("{replicas} {filter} | {all_run}") == SERVICES.len().to_string()
    }

    /// The name of a service in the swarm.
    pub fn service(&self, service: &str) -> String {
        format!("{}_{service}", self.name)
    }

    /// Changes a service as `docker service update` does, without waiting for its tasks.
    #[track_caller]
    pub fn update(&self, service: &str, arguments: &str) {
        let update = "docker service update --detach --no-resolve-image";
        sh!("{update} {arguments} {}", self.service(service));
    }

    /// What a template says of a service.
    #[track_caller]
    fn inspect(&self, service: &str, template: &str) -> String {
        let inspect = format!("docker service inspect --format '{template}'");
        sh!("{inspect} {}", self.service(service))
    }

    /// How far the last update of a service is, such as `updating` or `rollback_completed`.
    #[track_caller]
    pub fn update_state(&self, service: &str) -> String {
        self.inspect(service, "{{with .UpdateStatus}}{{.State}}{{end}}")
    }

    /// The running containers of a service, by id.
    #[track_caller]
    pub fn containers(&self, service: &str) -> Vec<String> {
        let label = format!("com.docker.swarm.service.name={}", self.service(service));
        lines(format!("docker ps -q --no-trunc --filter label={label}"))
    }

    /// Its webui.
    #[track_caller]
    pub fn webui(&self) -> Webui {
        let port = if *VIRTUAL_IPS {
            self.inspect("webui", "{{(index .Endpoint.Ports 0).PublishedPort}}")
        } else {
            let port = "{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostPort}}";
            inspect(&self.containers("webui"), port).remove(0)
        };
        let url = format!("http://127.0.0.1:{port}");
        Webui { url }
    }
}

/// The stack file of the repository, but for the published port, which the engine chooses, so that
/// it does not collide with a running demo.
fn stack_file() -> String {
    let text = fs::read_to_string(root().join("docker-stack.yml")).unwrap();
    let (port, deploy) = ("- \"8000:80\"", "    deploy:\n");
    assert!(text.contains(port), "{text}");
    assert_eq!(text.matches(deploy).count(), SERVICES.len(), "{text}");
    if *VIRTUAL_IPS {
        text.replace(port, "- {target: 80, mode: ingress}")
    } else {
        // Then the names lead to the tasks, and a port is that of a task, not of the swarm.
        text.replace(port, "- {target: 80, mode: host}")
            .replace(deploy, &format!("{deploy}      endpoint_mode: dnsrr\n"))
    }
}

/// Begins a swarm if there is none. The clean-up runs `commands`, and then leaves a new swarm, and
/// removes the bridge that remains of it.
///
/// An engine that leaves a swarm forgets the names of all containers on it (seen on 20.10): those
/// of a running demo would find one another no more. So while any container runs, it stays in.
fn join_swarm(commands: &str) -> Cleanup {
    if sh!("docker info --format '{}'", "{{.Swarm.LocalNodeState}}") != "inactive" {
        return Cleanup::new(commands);
    }
    let bridge = "docker network ls -q --filter name=^docker_gwbridge$";
    let had_bridge = !sh!("{bridge}").is_empty();
    let cleanup = Cleanup::new(&format!(
        "{commands}
         running=$(docker ps -q) && [ -z \"$running\" ] && docker swarm leave --force &&
         {{ {had_bridge} || remove '{bridge}' 'docker network rm'; }}"
    ));
    sh!("docker swarm init --advertise-addr 127.0.0.1");
    cleanup
}

/// Whether a service answers at its virtual IP, asked of a small one: the kernel may have no IPVS.
/// If not, the names of a stack lead to its tasks, and the port is published by the host.
static VIRTUAL_IPS: LazyLock<bool> = LazyLock::new(|| {
    let name = unique("ipvs");
    let network = format!("docker network ls -q --filter name=^{name}$");
    let remove = format!("docker service rm {name}; remove '{network}' 'docker network rm'");
    let _cleanup = Cleanup::new(&remove);
    sh!("docker network create --driver overlay --attachable {name}");
    let create = "docker service create --detach --no-resolve-image";
    sh!("{create} --name {name} --network {name} redis:8-alpine");
    // The addresses of its tasks need no IPVS: once they answer, it is there.
    let ping_tasks = format!("until timeout 2 redis-cli -h tasks.{name} ping; do sleep 0.5; done");
    let ping = format!("timeout 60 sh -c '{ping_tasks}; timeout 6 redis-cli -h {name} ping'");
    let printed = sh!("docker run --rm --network {name} redis:8-alpine {ping} || true");
    let answers = printed.matches("PONG").count();
    assert!(answers > 0, "{printed}");
    answers > 1
});
