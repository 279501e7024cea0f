//! What the deployment files say, compared with one another, with the Dockerfiles and with the
//! diagram of the README. Needs nothing but the files.
//!
//!     cargo test -p e2e --test manifests
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod chart;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use e2e::{BUILT, SERVICES, root, yaml};
use serde_json::{Value, json};

/// The files of the kind that Compose reads, with all services.
const COMPOSE_FILES: [&str; 3] = [
    "docker-compose.yml",
    "docker-stack.yml",
    "compose/images.yml",
];

// Fails when redis.yaml is missing, and with a sixth in docker-compose.yml.
#[test]
fn each_way_to_run_it_has_the_same_five_services() {
    assert!(deployments().keys().eq(SERVICES));
    for file in COMPOSE_FILES {
        assert!(compose(file).keys().eq(SERVICES), "{file}");
    }
}

// Fails with webui's tag v0.2, and with redis:7-alpine.
#[test]
fn the_images_are_those_that_are_built_and_the_same_redis() {
    let [compose, stack, images] = COMPOSE_FILES.map(compose);
    let deployments = deployments();
    let image = |name: &str| container(&deployments[name])["image"].clone();
    for name in BUILT {
        assert_eq!(image(name), format!("127.0.0.1:5000/{name}:v0.1"));
        let of_registry = format!("${{REGISTRY-127.0.0.1:5000}}/{name}:${{TAG-latest}}");
        assert_eq!(stack[name]["image"], of_registry);
        assert_eq!(images[name]["image"], of_registry);
        let build = json!({"context": ".", "dockerfile": format!("{name}/Dockerfile")});
        assert_eq!(compose[name]["build"], build);
    }
    for services in [compose, stack, images] {
        assert_eq!(image("redis"), services["redis"]["image"]);
    }
}

// Fails with a build in compose/images.yml, and when hasher is published elsewhere there.
#[test]
fn the_variant_with_images_is_the_compose_file_but_for_builds_and_the_volume() {
    let mut services = compose("docker-compose.yml");
    let images = compose("compose/images.yml");
    for name in BUILT {
        let service = services.get_mut(name).unwrap().as_object_mut().unwrap();
        service.remove("build");
        service.remove("volumes");
        service.insert("image".to_owned(), images[name]["image"].clone());
    }
    assert_eq!(images, services);
}

// Fails without the line for crates/chassis, and with a path that is not there.
#[test]
fn compose_watches_the_source_of_each_service() {
    let services = compose("compose/watch.yml");
    assert!(services.keys().eq(BUILT));
    for (name, service) in services {
        let mut rebuilt = BTreeSet::new();
        for watch in list(&service["develop"]["watch"]) {
            let path = text(&watch["path"]);
            assert!(root().join(path).is_dir(), "{path}");
            assert_eq!(watch["action"], "rebuild");
            rebuilt.insert(path);
        }
        let source = if name == "webui" { "webui/src" } else { &name };
        assert_eq!(rebuilt, BTreeSet::from(["crates/chassis", source]));
    }
}

// Fails without a service in the list, and with another registry.
#[test]
fn tilt_builds_the_images_of_the_manifests() {
    let tiltfile = read("Tiltfile");
    let (_, rest) = tiltfile.split_once("services = [").unwrap();
    let (services, rest) = rest.split_once(']').unwrap();
    let services = services.split(", ").map(|name| name.trim_matches('\''));
    assert_eq!(services.collect::<BTreeSet<_>>(), BUILT.into());
    assert!(rest.contains("'127.0.0.1:5000/' + service, '.'"), "{rest}");
    assert!(
        rest.contains("dockerfile=service + '/Dockerfile'"),
        "{rest}"
    );
}

// Fails without one of the files, and with one more.
#[test]
fn the_kustomization_has_all_manifests_of_k8s() {
    let kustomization = yaml::parse(&read("kustomization.yaml")).remove(0);
    let resources: BTreeSet<_> = list(&kustomization["resources"]).map(text).collect();
    let manifests: BTreeSet<_> = manifests("k8s").collect();
    assert!(resources.iter().eq(&manifests), "{resources:?}");
}

// Fails with a namespace in the metadata of one of them.
#[test]
fn no_manifest_names_a_namespace() {
    for directory in ["k8s", "k8s/ingress", "k8s/policies"] {
        for object in objects(directory) {
            assert!(object["metadata"]["namespace"].is_null(), "{object}");
        }
    }
}

// Fails when webui's description is another, and with rng's version 1.0.1, on either side.
#[test]
fn the_labels_of_the_images_say_what_the_manifests_of_cargo_say() {
    for name in BUILT {
        let cargo = format!(
            "{}{}",
            read("Cargo.toml"),
            read(&format!("{name}/Cargo.toml"))
        );
        let dockerfile = read(&format!("{name}/Dockerfile"));
        let value = |text: &str, key: &str| {
            let lines = text
                .lines()
                .filter_map(|line| line.split_once(key)?.1.split('"').nth(1));
            lines.map(str::to_owned).next().unwrap()
        };
        let label = |key: &str| value(&dockerfile, &format!("org.opencontainers.image.{key}="));
        assert_eq!(label("title"), name);
        for (of_image, of_cargo) in [
            ("description", "description = "),
            ("licenses", "license = "),
            ("version", "version = "),
        ] {
            assert_eq!(label(of_image), value(&cargo, of_cargo), "{name}");
        }
    }
}

/// `BuildKit` takes a file of the same size and modification time for the same, and all files of an
/// archive have the same time: webui would be built with the Dockerfile of hasher.
// Fails without the comment in the Dockerfile of webui.
#[test]
fn no_two_dockerfiles_have_the_same_size() {
    let sizes: BTreeSet<_> = BUILT
        .map(|name| read(&format!("{name}/Dockerfile")).len())
        .into();
    assert_eq!(sizes.len(), BUILT.len(), "{sizes:?}");
}

// Fails when a label of a pod is another, and when a selector is.
#[test]
fn labels_and_selectors_are_the_name_of_the_service() {
    for (name, deployment) in deployments() {
        let (label, spec) = (json!({"app": name}), &deployment["spec"]);
        assert_eq!(deployment["metadata"]["labels"], label);
        assert_eq!(spec["selector"]["matchLabels"], label);
        assert_eq!(spec["template"]["metadata"]["labels"], label);
        assert_eq!(container(&deployment)["name"], name);
    }
    for (name, service) in of_kind("k8s", "Service") {
        let label = json!({"app": name});
        assert_eq!(service["metadata"]["labels"], label);
        assert_eq!(service["spec"]["selector"], label);
    }
}

// Fails when rng's Service has port 8080, its container 81, its Dockerfile EXPOSE 81, when Compose
// publishes "8001:81", and with a Service for worker.
#[test]
fn each_service_is_reached_where_its_program_listens_and_worker_nowhere() {
    let services = of_kind("k8s", "Service");
    assert!(services.keys().eq(["hasher", "redis", "rng", "webui"]));
    for (name, deployment) in deployments() {
        let exposed = dockerfile(&name, "EXPOSE").map(|port| port.parse().unwrap());
        let port: Option<u16> = exposed.or((name == "redis").then_some(6379));
        let of_container = container(&deployment).get("ports");
        let ports = port.map(|port| json!([{"containerPort": port}]));
        assert_eq!(of_container, ports.as_ref(), "{name}");
        let of_service = services.get(&name).map(|service| &service["spec"]["ports"]);
        // With the protocol, server-side apply works on Kubernetes 1.20 too.
        let ports = port.map(|port| json!([{"port": port, "protocol": "TCP"}]));
        assert_eq!(of_service, ports.as_ref(), "{name}");
        for file in COMPOSE_FILES {
            for published in list(&compose(file)[&name]["ports"]) {
                let (_, target) = published.as_str().unwrap().rsplit_once(':').unwrap();
                assert_eq!(target.parse().ok(), port, "{file}: {name}");
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
            match &*name {
                "worker" => assert!(check.is_null() && probes.iter().all(|p| p.is_null())),
                "redis" => {
                    assert_eq!(check["test"], json!(["CMD", "redis-cli", "ping"]), "{file}");
                    assert_eq!(probes[0]["tcpSocket"], json!({"port": 6379}));
                    assert!(probes[1].is_null());
                }
                _ => {
                    let (program, url) = (format!("/{name}"), "http://127.0.0.1/healthz");
                    let test = json!(["CMD", program, "healthcheck", url]);
                    assert_eq!(check["test"], test, "{file}");
                    for probe in probes {
                        assert_eq!(probe["httpGet"], json!({"path": "/healthz", "port": 80}));
                        assert_eq!(check["timeout"], format!("{}s", probe["timeoutSeconds"]));
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
        let mut variables = BTreeMap::new();
        for variable in list(&container(&deployment)["env"]) {
            let name = text(&variable["name"]).to_owned();
            variables.insert(name, variable["value"].clone());
        }
        for file in COMPOSE_FILES {
            let environment = compose(file)[&name]["environment"].clone();
            let environment: Option<_> = serde_json::from_value(environment).unwrap();
            assert_eq!(variables, environment.unwrap_or_default(), "{file}: {name}");
        }
    }
}

// Fails without each of the lines that it is about, with a capability added, and as another user
// than the image's.
#[test]
fn containers_are_hardened_alike_and_pods_keep_to_the_standard_restricted() {
    for (name, deployment) in deployments() {
        let pod = &deployment["spec"]["template"]["spec"];
        let (container, context) = (container(&deployment), &pod["securityContext"]);
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["enableServiceLinks"], false);
        for shared in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            assert!(pod[shared].is_null(), "{name}: {shared}");
        }
        for volume in list(&pod["volumes"]) {
            assert_eq!(volume["emptyDir"], json!({}), "{name}");
        }
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert_eq!(context["seccompProfile"], json!({"type": "RuntimeDefault"}));
        // The user of the official redis is 999, its group 1000.
        let user = dockerfile(&name, "USER").unwrap_or_else(|| "999:1000".to_owned());
        let of_pod = format!("{}:{}", context["runAsUser"], context["runAsGroup"]);
        assert_eq!(of_pod, user, "{name}");
        let hardened = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], hardened, "{name}");
        // Ports below 1024 need either privileges or this.
        let port = container["ports"][0]["containerPort"].as_u64();
        let any_port = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
        let sysctls = port.filter(|port| *port < 1024).map(|_| &any_port);
        assert_eq!(context.get("sysctls"), sysctls, "{name}");

        for file in COMPOSE_FILES {
            let service = &compose(file)[&name];
            assert_eq!(service["read_only"], true, "{file}: {name}");
            assert_eq!(service["cap_drop"], json!(["ALL"]), "{file}: {name}");
            for added in ["cap_add", "privileged", "sysctls"] {
                assert!(service[added].is_null(), "{file}: {name}: {added}");
            }
        }
        let options = &compose("docker-compose.yml")[&name]["security_opt"];
        assert_eq!(*options, json!(["no-new-privileges:true"]), "{name}");
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
        assert!(resources["requests"]["cpu"].is_string(), "{name}");
        assert!(memory("requests") <= memory("limits"), "{name}");
    }
}

// Fails when an arrow is taken out, from the policies or the diagram, when one is added (webui to
// rng), when a policy selects another pod, and when a port is another.
#[test]
fn the_network_policies_admit_the_arrows_of_the_diagram_and_no_others() {
    let policies = by_name(objects_of("k8s/policies/isolate-services.yaml"));
    assert!(policies.keys().eq(SERVICES));
    let services = of_kind("k8s", "Service");
    let port_of = |app: &str| json!([{"port": services[app]["spec"]["ports"][0]["port"]}]);
    let dns = json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]);
    let (mut ingress, mut egress) = (BTreeSet::new(), BTreeSet::new());
    let mut resolving = BTreeSet::new();
    for (name, policy) in &policies {
        let spec = &policy["spec"];
        assert_eq!(spec["podSelector"], selector(name));
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{name}");
        for rule in list(&spec["ingress"]) {
            assert_eq!(rule["ports"], port_of(name), "{name}");
            for from in peers(&rule["from"]).unwrap_or_else(|| vec!["user"]) {
                ingress.insert((from, &**name));
            }
        }
        for rule in list(&spec["egress"]) {
            let Some(peers) = peers(&rule["to"]) else {
                assert_eq!(rule["ports"], dns, "{name}");
                resolving.insert(&**name);
                continue;
            };
            for to in peers {
                assert_eq!(rule["ports"], port_of(to), "{name}");
                egress.insert((&**name, to));
            }
        }
    }
    let readme = read("README.md");
    let mut arrows = arrows(&readme);
    assert_eq!(arrows.len(), 5);
    assert_eq!(ingress, arrows);
    arrows.retain(|(from, _)| *from != "user");
    assert_eq!(egress, arrows);
    assert_eq!(resolving, arrows.iter().map(|(from, _)| *from).collect());
}

// Fails without the policy for webui, with a selector in the rule for the namespace, with one that
// selects namespaces, and when a policy also restricts what pods send.
#[test]
fn the_policies_of_the_course_deny_other_namespaces_and_admit_all_to_webui() {
    let policies = by_name(objects_of("k8s/policies/isolate-namespace.yaml"));
    let spec =
        |pods, rule| json!({"podSelector": pods, "policyTypes": ["Ingress"], "ingress": [rule]});
    let from_within = json!({"from": [{"podSelector": {}}]});
    let expected = [
        ("allow-webui", spec(selector("webui"), json!({}))),
        ("deny-from-other-namespaces", spec(json!({}), from_within)),
    ];
    assert_eq!(policies.len(), expected.len());
    for (name, spec) in expected {
        assert_eq!(policies[name]["kind"], "NetworkPolicy");
        assert_eq!(policies[name]["spec"], spec, "{name}");
    }
}

// Fails when a host leads elsewhere, with a port that the Service does not have, and without the
// group that is left of the path.
#[test]
fn the_ingresses_lead_to_the_services_that_they_are_named_after() {
    let ingresses = of_kind("k8s/ingress", "Ingress");
    let services = of_kind("k8s", "Service");
    let backend = |service: &str| {
        let port = &services[service]["spec"]["ports"][0]["port"];
        json!({"service": {"name": service, "port": {"number": port}}})
    };
    let mut hosts = BTreeSet::new();
    for rule in list(&ingresses["dockercoins"]["spec"]["rules"]) {
        let service = text(&rule["host"]).strip_suffix(".localhost").unwrap();
        let path = json!([{"path": "/", "pathType": "Prefix", "backend": backend(service)}]);
        assert_eq!(rule["http"]["paths"], path);
        hosts.insert(service);
    }
    assert_eq!(hosts, BTreeSet::from(["hasher", "rng", "webui"]));

    let below = &ingresses["dockercoins-path"];
    let rewrite = json!({"nginx.ingress.kubernetes.io/rewrite-target": "/$1"});
    assert_eq!(below["metadata"]["annotations"], rewrite);
    let path = &below["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!(path["path"], "/dockercoins/(.*)");
    assert_eq!(path["backend"], backend("webui"));
}

/// The peers of a rule, by label; `None` if it admits all.
fn peers(peers: &Value) -> Option<Vec<&str>> {
    let peers = peers.as_array()?.iter().map(|peer| {
        let app = text(&peer["podSelector"]["matchLabels"]["app"]);
        assert_eq!(*peer, json!({"podSelector": selector(app)}));
        app
    });
    Some(peers.collect())
}

fn selector(app: &str) -> Value {
    json!({"matchLabels": {"app": app}})
}

/// The arrows of a diagram, such as `user ──HTTP──▶ webui`. One that begins with `└` comes from the
/// name above it.
fn arrows(diagram: &str) -> BTreeSet<(&str, &str)> {
    let (mut arrows, mut above) = (BTreeSet::new(), Vec::new());
    for line in diagram.lines().filter(|line| line.contains('▶')) {
        // Each name with its first column.
        let (mut names, mut from, mut arrow, mut column) = (Vec::new(), "", String::new(), 0);
        for word in line.split(' ') {
            if word.starts_with('└') {
                let name = above.iter().rfind(|(start, _)| *start <= column);
                from = name.map_or("", |(_, name)| *name);
            }
            if word.contains(|letter: char| !letter.is_ascii_lowercase()) {
                arrow += word;
            } else if !word.is_empty() {
                if arrow.contains('▶') {
                    arrows.insert((from, word));
                } else if arrow.contains('◀') {
                    arrows.insert((word, from));
                }
                names.push((column, word));
                (from, arrow) = (word, String::new());
            }
            column += word.chars().count() + 1;
        }
        above = names;
    }
    arrows
}

/// What an instruction of a service's last stage says, if the service is built here and has it.
fn dockerfile(service: &str, instruction: &str) -> Option<String> {
    let file = root().join(service).join("Dockerfile");
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.rfind(|(first, _)| *first == instruction)?;
    Some(value.to_owned())
}

fn deployments() -> BTreeMap<String, Value> {
    of_kind("k8s", "Deployment")
}

/// The only container of a Deployment.
fn container(deployment: &Value) -> &Value {
    let containers = &deployment["spec"]["template"]["spec"]["containers"];
    assert_eq!(list(containers).count(), 1);
    &containers[0]
}

/// The objects of a kind in the manifests of a directory, by name.
fn of_kind(directory: &str, kind: &str) -> BTreeMap<String, Value> {
    let mut objects = objects(directory);
    objects.retain(|object| object["kind"] == kind);
    by_name(objects)
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .map(|object| (text(&object["metadata"]["name"]).to_owned(), object))
        .collect()
}

/// The objects in the manifests of a directory.
fn objects(directory: &str) -> Vec<Value> {
    manifests(directory)
        .flat_map(|file| objects_of(&file))
        .collect()
}

/// The files of a directory, without those below it.
fn manifests(directory: &str) -> impl Iterator<Item = String> {
    let files = fs::read_dir(root().join(directory)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let paths = names.map(move |name| format!("{directory}/{name}"));
    paths.filter(|path| root().join(path).is_file())
}

fn objects_of(file: &str) -> Vec<Value> {
    yaml::parse(&read(file))
}

/// The services of a Compose file, by name.
fn compose(file: &str) -> BTreeMap<String, Value> {
    let mut file = yaml::parse(&read(file)).remove(0);
    serde_json::from_value(file["services"].take()).unwrap()
}

/// The elements of a list, which need not be there.
fn list(list: &Value) -> impl Iterator<Item = &Value> {
    assert!(list.is_array() || list.is_null(), "{list}");
    list.as_array().into_iter().flatten()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}
