//! What the deployment files say, compared with one another, with the Dockerfiles and with the
//! diagram of the README. Needs nothing but the files.
//!
//!     cargo test -p e2e --test manifests
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
};

use e2e::root;
use yaml_rust2::{Yaml, YamlLoader, yaml::Hash};

/// The files of the kind that Compose reads.
const COMPOSE_FILES: [&str; 2] = ["docker-compose.yml", "docker-stack.yml"];

/// The services that are built here.
const BUILT: [&str; 4] = ["hasher", "rng", "webui", "worker"];

const FIVE: [&str; 5] = ["hasher", "redis", "rng", "webui", "worker"];

// Fails when redis.yaml is away, and with a sixth in docker-compose.yml.
#[test]
fn each_way_to_run_it_has_the_same_five_services() {
    assert_eq!(names(&deployments()), FIVE);
    for file in COMPOSE_FILES {
        assert_eq!(names(&compose(file)), FIVE, "{file}");
    }
}

// Fails with webui's tag v0.2, and with redis:7-alpine.
#[test]
fn the_images_are_those_that_are_built_and_the_same_redis() {
    for (name, deployment) in deployments() {
        let image = container(&deployment)["image"].as_str().unwrap();
        if BUILT.contains(&&*name) {
            assert_eq!(image, format!("127.0.0.1:5000/{name}:v0.1"));
        } else {
            for file in COMPOSE_FILES {
                assert_eq!(image, compose(file)[&name]["image"].as_str().unwrap());
            }
        }
    }
    for name in BUILT {
        let image = &compose("docker-stack.yml")[name]["image"];
        assert_eq!(
            text(image),
            format!("${{REGISTRY-127.0.0.1:5000}}/{name}:${{TAG-latest}}")
        );
        let build = &compose("docker-compose.yml")[name]["build"];
        assert_eq!(
            *build,
            yaml(&format!("{{context: ., dockerfile: {name}/Dockerfile}}"))
        );
    }
}

// Fails when a label of a pod is another, and when a selector is.
#[test]
fn labels_and_selectors_are_the_name_of_the_service() {
    for (name, deployment) in deployments() {
        let label = yaml(&format!("{{app: {name}}}"));
        let spec = &deployment["spec"];
        assert_eq!(deployment["metadata"]["labels"], label);
        assert_eq!(spec["selector"]["matchLabels"], label);
        assert_eq!(spec["template"]["metadata"]["labels"], label);
        assert_eq!(container(&deployment)["name"].as_str(), Some(&*name));
    }
    for (name, service) in of_kind("k8s", "Service") {
        let label = yaml(&format!("{{app: {name}}}"));
        assert_eq!(service["metadata"]["labels"], label);
        assert_eq!(service["spec"]["selector"], label);
    }
}

// Fails when rng's Service has port 8080, its container 81, its Dockerfile EXPOSE 81, when Compose
// publishes "8001:81", and with a Service for worker.
#[test]
fn each_service_is_reached_where_its_program_listens_and_worker_nowhere() {
    let services = of_kind("k8s", "Service");
    assert_eq!(names(&services), ["hasher", "redis", "rng", "webui"]);
    for (name, deployment) in deployments() {
        let listens = if name == "redis" {
            Some(6379)
        } else {
            dockerfile(&name, "EXPOSE").map(|port| port.parse().unwrap())
        };
        let container = &container(&deployment)["ports"];
        let service = services.get(&name).map(|service| &service["spec"]["ports"]);
        if let Some(port) = listens {
            assert_eq!(*container, yaml(&format!("[{{containerPort: {port}}}]")));
            assert_eq!(service, Some(&yaml(&format!("[{{port: {port}}}]"))));
        } else {
            assert!(container.is_badvalue(), "{name}");
            assert_eq!(service, None);
        }
        for file in COMPOSE_FILES {
            for published in strings(&compose(file)[&name]["ports"]) {
                let (_, target) = published.rsplit_once(':').unwrap();
                assert_eq!(target.parse().ok(), listens, "{file}: {name}");
            }
        }
    }
}

// Fails when a probe asks /, or another port, or has less time than under Compose, on both sides.
#[test]
fn health_is_asked_in_the_same_way() {
    for (name, deployment) in deployments() {
        let container = container(&deployment);
        let probes = ["readinessProbe", "livenessProbe"].map(|probe| &container[probe]);
        for file in COMPOSE_FILES {
            let check = &compose(file)[&name]["healthcheck"];
            let test = strings(&check["test"]);
            match &*name {
                "worker" => {
                    assert!(check.is_badvalue(), "{file}");
                    assert!(probes.iter().all(|probe| probe.is_badvalue()));
                }
                "redis" => {
                    assert_eq!(test, ["CMD", "redis-cli", "ping"], "{file}");
                    assert_eq!(probes[0]["tcpSocket"], yaml("{port: 6379}"));
                    assert!(probes[1].is_badvalue());
                }
                _ => {
                    let url = "http://127.0.0.1/healthz";
                    let program = format!("/{name}");
                    assert_eq!(test, ["CMD", &program, "healthcheck", url], "{file}");
                    for probe in probes {
                        assert_eq!(probe["httpGet"], yaml("{path: /healthz, port: 80}"));
                        let timeout = format!("{}s", probe["timeoutSeconds"].as_i64().unwrap());
                        assert_eq!(check["timeout"].as_str(), Some(&*timeout), "{file}");
                    }
                }
            }
        }
    }
}

// Fails with DELAY for worker in one of them.
#[test]
fn the_environment_is_the_same() {
    for (name, deployment) in deployments() {
        let variables = container(&deployment)["env"].clone();
        let variables: BTreeMap<_, _> = variables
            .into_iter()
            .map(|variable| (text(&variable["name"]), text(&variable["value"])))
            .collect();
        for file in COMPOSE_FILES {
            let environment = match &compose(file)[&name]["environment"] {
                Yaml::Hash(map) => map.iter().map(|(k, v)| (text(k), text(v))).collect(),
                list => strings(list)
                    .iter()
                    .filter_map(|line| line.split_once('='))
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect::<BTreeMap<_, _>>(),
            };
            assert_eq!(variables, environment, "{file}: {name}");
        }
    }
}

// Fails without each of the lines that it is about, with a capability added, and as another user
// than the image's.
#[test]
fn containers_are_hardened_alike_and_pods_keep_to_the_standard_restricted() {
    for (name, deployment) in deployments() {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
        assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false));
        for shared in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            assert!(pod[shared].is_badvalue(), "{name}: {shared}");
        }
        for volume in pod["volumes"].as_vec().into_iter().flatten() {
            assert_eq!(volume["emptyDir"], yaml("{}"), "{name}");
        }
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"].as_bool(), Some(true), "{name}");
        assert_eq!(context["seccompProfile"], yaml("{type: RuntimeDefault}"));
        let user = |key: &str| context[key].as_i64().unwrap();
        // The user of the official redis is 999, its group 1000.
        let (uid, gid) = (user("runAsUser"), user("runAsGroup"));
        let expected = dockerfile(&name, "USER").unwrap_or_else(|| "999:1000".to_owned());
        assert_eq!(format!("{uid}:{gid}"), expected, "{name}");
        assert_eq!(
            container(&deployment)["securityContext"],
            yaml(
                "allowPrivilegeEscalation: false\n\
                 readOnlyRootFilesystem: true\n\
                 capabilities: {drop: [ALL]}"
            ),
            "{name}"
        );
        // Ports below 1024 need either privileges or this.
        let listens = container(&deployment)["ports"][0]["containerPort"].as_i64();
        let any_port = yaml("[{name: net.ipv4.ip_unprivileged_port_start, value: '0'}]");
        let sysctls = listens
            .filter(|port| *port < 1024)
            .map_or(Yaml::BadValue, |_| any_port);
        assert_eq!(context["sysctls"], sysctls, "{name}");

        for file in COMPOSE_FILES {
            let service = &compose(file)[&name];
            assert_eq!(service["read_only"].as_bool(), Some(true), "{file}: {name}");
            assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{file}: {name}");
            for added in ["cap_add", "privileged", "sysctls"] {
                assert!(service[added].is_badvalue(), "{file}: {name}: {added}");
            }
        }
        let option = strings(&compose("docker-compose.yml")[&name]["security_opt"]);
        assert_eq!(option, ["no-new-privileges:true"], "{name}");
    }
}

// Fails without the limit of a container.
#[test]
fn each_container_asks_for_what_it_needs_and_its_memory_has_a_limit() {
    for (name, deployment) in deployments() {
        let resources = &container(&deployment)["resources"];
        let memory = |which: &str| {
            let memory = text(&resources[which]["memory"]);
            memory.strip_suffix("Mi").unwrap().parse::<u32>().unwrap()
        };
        assert!(resources["requests"]["cpu"].as_str().is_some(), "{name}");
        assert!(memory("requests") <= memory("limits"), "{name}");
    }
}

// Fails when an arrow is taken out, from the policies or the diagram, when one is added (webui to
// rng), when a policy selects another pod, and when a port is another.
#[test]
fn the_network_policies_admit_the_arrows_of_the_diagram_and_no_others() {
    let policies = of_kind("k8s/network-policies", "NetworkPolicy");
    assert_eq!(names(&policies), FIVE);
    let services = of_kind("k8s", "Service");
    let port = |app: &str| services[app]["spec"]["ports"][0]["port"].clone();
    let dns = yaml("[{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]");
    let (mut admitted, mut left) = (BTreeSet::new(), BTreeSet::new());
    let mut resolving = BTreeSet::new();
    for (name, policy) in policies {
        let spec = &policy["spec"];
        assert_eq!(
            spec["podSelector"],
            yaml(&format!("{{matchLabels: {{app: {name}}}}}"))
        );
        assert_eq!(spec["policyTypes"], yaml("[Ingress, Egress]"), "{name}");
        for rule in spec["ingress"].as_vec().into_iter().flatten() {
            assert_eq!(rule["ports"][0]["port"], port(&name), "{name}");
            assert_eq!(rule["ports"].as_vec().unwrap().len(), 1, "{name}");
            for from in peers(&rule["from"]).unwrap_or_else(|| vec!["user".to_owned()]) {
                admitted.insert((from, name.clone()));
            }
        }
        for rule in spec["egress"].as_vec().into_iter().flatten() {
            let Some(peers) = peers(&rule["to"]) else {
                assert_eq!(rule["ports"], dns, "{name}");
                resolving.insert(name.clone());
                continue;
            };
            for to in peers {
                assert_eq!(rule["ports"][0]["port"], port(&to), "{name}");
                assert_eq!(rule["ports"].as_vec().unwrap().len(), 1, "{name}");
                left.insert((name.clone(), to));
            }
        }
    }
    let mut arrows = arrows(&read("README.md"));
    assert_eq!(arrows.len(), 5);
    assert_eq!(admitted, arrows);
    arrows.retain(|(from, _)| from != "user");
    assert_eq!(left, arrows);
    assert_eq!(
        resolving,
        arrows.into_iter().map(|(from, _)| from).collect()
    );
}

/// Who a rule is about, by label; `None` if it is about everybody.
fn peers(peers: &Yaml) -> Option<Vec<String>> {
    let peer = |peer: &Yaml| {
        let app = text(&peer["podSelector"]["matchLabels"]["app"]);
        assert_eq!(
            *peer,
            yaml(&format!("{{podSelector: {{matchLabels: {{app: {app}}}}}}}"))
        );
        app
    };
    Some(peers.as_vec()?.iter().map(peer).collect())
}

/// The arrows of a diagram, such as `user ──HTTP──▶ webui`. One that begins with `└` comes from the
/// name above it.
fn arrows(diagram: &str) -> BTreeSet<(String, String)> {
    let mut arrows = BTreeSet::new();
    let mut above: Vec<(Range<usize>, &str)> = Vec::new();
    for line in diagram.lines().filter(|line| line.contains('▶')) {
        let (mut names, mut from, mut arrow) = (Vec::new(), None, String::new());
        for (columns, word) in words(line) {
            if word.starts_with('└') {
                let source = above.iter().find(|(name, _)| name.contains(&columns.start));
                from = source.map(|(_, name)| *name);
            }
            if !word.chars().all(|letter| letter.is_ascii_lowercase()) {
                arrow.push_str(word);
                continue;
            }
            match from {
                Some(from) if arrow.contains('▶') => {
                    arrows.insert((from.to_owned(), word.to_owned()))
                }
                Some(from) if arrow.contains('◀') => {
                    arrows.insert((word.to_owned(), from.to_owned()))
                }
                _ => false,
            };
            names.push((columns, word));
            (from, arrow) = (Some(word), String::new());
        }
        above = names;
    }
    arrows
}

/// The words of a line, with the columns where they stand.
fn words(line: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut column = 0;
    line.split(' ').filter_map(move |word| {
        let start = column;
        let end = start + word.chars().count();
        column = end + 1;
        (!word.is_empty()).then_some((start..end, word))
    })
}

/// What an instruction of a service's last stage says, if the service is built here and has it.
fn dockerfile(service: &str, instruction: &str) -> Option<String> {
    let file = root().join(service).join("Dockerfile");
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.rfind(|(first, _)| *first == instruction)?;
    Some(value.to_owned())
}

fn deployments() -> BTreeMap<String, Yaml> {
    of_kind("k8s", "Deployment")
}

/// The only container of a Deployment.
fn container(deployment: &Yaml) -> &Yaml {
    let containers = &deployment["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_vec().unwrap().len(), 1);
    &containers[0]
}

/// The objects of a kind in the manifests of a directory, by name.
fn of_kind(directory: &str, kind: &str) -> BTreeMap<String, Yaml> {
    let files = fs::read_dir(root().join(directory)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let manifests = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    manifests
        .flat_map(|path| YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap())
        .filter(|object| object["kind"].as_str() == Some(kind))
        .map(|object| (text(&object["metadata"]["name"]), object))
        .collect()
}

/// The services of a Compose file, by name.
fn compose(file: &str) -> BTreeMap<String, Yaml> {
    let Yaml::Hash(services) = merged(yaml(&read(file)))["services"].clone() else {
        panic!("{file} has no services");
    };
    services
        .into_iter()
        .map(|(name, service)| (text(&name), service))
        .collect()
}

/// With the keys of `<<` in place, which the parser leaves to us.
fn merged(yaml: Yaml) -> Yaml {
    let Yaml::Hash(map) = yaml else { return yaml };
    let mut all = Hash::new();
    for (key, value) in map {
        let value = merged(value);
        match value {
            Yaml::Hash(defaults) if key.as_str() == Some("<<") => all.extend(defaults),
            value => drop(all.insert(key, value)),
        }
    }
    Yaml::Hash(all)
}

fn names(objects: &BTreeMap<String, Yaml>) -> Vec<&str> {
    objects.keys().map(String::as_str).collect()
}

fn strings(list: &Yaml) -> Vec<String> {
    list.as_vec().into_iter().flatten().map(text).collect()
}

fn text(scalar: &Yaml) -> String {
    scalar
        .as_str()
        .unwrap_or_else(|| panic!("no string: {scalar:?}"))
        .to_owned()
}

fn yaml(text: &str) -> Yaml {
    YamlLoader::load_from_str(text).unwrap().remove(0)
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}
