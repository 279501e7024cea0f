//! What the deployment files say, compared with one another and with the Dockerfiles. Needs nothing
//! but the files.
//!
//!     cargo test -p e2e --test manifests
#![allow(clippy::unwrap_used)]

mod chart;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use e2e::{BUILT, HTTP_SERVICES, root, run, shell, yaml};
use serde_json::{Value, json};

/// The arrows of the diagram, from client to server.
const ARROWS: [(&str, &str); 5] = [
    ("user", "webui"),
    ("webui", "redis"),
    ("worker", "hasher"),
    ("worker", "redis"),
    ("worker", "rng"),
];

// Fails with redis:7-alpine in one of them.
#[test]
fn all_run_the_same_redis() {
    let deployments = deployments();
    for file in ["docker-compose.yml", "docker-stack.yml"] {
        let image = &compose(file)["redis"]["image"];
        assert_eq!(container(&deployments["redis"])["image"], *image, "{file}");
    }
}

// Fails when the comment of a value changes alone.
#[test]
fn the_readme_of_the_chart_is_up_to_date() {
    let generated = run(&shell(env!("CARGO_BIN_EXE_chart-readme")));
    assert_eq!(generated, read("charts/dockercoins/README.md").trim_end());
}

// Fails with a build in compose/images.yml, and when hasher is published elsewhere there.
#[test]
fn the_variant_with_images_is_the_compose_file_without_builds_and_volumes() {
    let mut services = compose("docker-compose.yml");
    for name in BUILT {
        let service = services.get_mut(name).unwrap().as_object_mut().unwrap();
        service.remove("build");
        service.remove("volumes");
        let image = format!("${{REGISTRY-127.0.0.1:5000}}/{name}:${{TAG-latest}}");
        service.insert("image".to_owned(), image.into());
        let traces = json!({"OTEL_EXPORTER_OTLP_ENDPOINT": "${OTEL_EXPORTER_OTLP_ENDPOINT-}"});
        service.insert("environment".to_owned(), traces);
    }
    assert_eq!(compose("compose/images.yml"), services);
}

// Fails without the line for crates/chassis, and with a directory that does not exist.
#[test]
fn compose_watches_the_source_of_each_service() {
    let services = compose("compose/watch.yml");
    assert!(services.keys().eq(BUILT));
    for (name, service) in services {
        let watched = list(&service["develop"]["watch"]);
        let watched: BTreeSet<_> = watched.map(|watch| text(&watch["path"])).collect();
        let source = if name == "webui" { "webui/src" } else { &name };
        assert_eq!(watched, BTreeSet::from(["crates/chassis", source]));
        assert!(watched.iter().all(|path| root().join(path).is_dir()));
    }
}

// Fails without one of the files, and with one more.
#[test]
fn the_kustomization_has_all_manifests_of_k8s() {
    let kustomization = yaml::parse(&read("kustomization.yaml")).remove(0);
    let resources: BTreeSet<_> = list(&kustomization["resources"]).map(text).collect();
    let manifests: BTreeSet<_> = manifests("k8s").collect();
    assert!(resources.iter().eq(&manifests), "{resources:?}");
}

// Fails when webui's description is another, and with rng's version 1.0.1, on either side.
#[test]
fn the_labels_of_the_images_say_what_the_manifests_of_cargo_say() {
    for name in BUILT.into_iter().chain(["crates/standalone"]) {
        let manifests = [read("Cargo.toml"), read(&format!("{name}/Cargo.toml"))].concat();
        let dockerfile = read(&format!("{name}/Dockerfile"));
        for key in ["description", "license", "version"] {
            let mut lines = manifests.lines();
            let start = format!("{key} = ");
            let value = lines.find_map(|line| line.strip_prefix(&start)).unwrap();
            let key = if key == "license" { "licenses" } else { key };
            let label = format!("org.opencontainers.image.{key}={value}");
            assert!(dockerfile.contains(&label), "{name}: no {label}");
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

// Fails when a probe asks /, and when it has less time than under Compose.
#[test]
fn health_is_checked_in_the_same_way() {
    let deployments = deployments();
    for name in HTTP_SERVICES {
        let container = container(&deployments[name]);
        for file in ["docker-compose.yml", "docker-stack.yml"] {
            let check = &compose(file)[name]["healthcheck"];
            let program = format!("/{name}");
            let test = json!(["CMD", program, "healthcheck", "http://127.0.0.1/healthz"]);
            assert_eq!(check["test"], test, "{file}");
            for probe in ["readinessProbe", "livenessProbe"] {
                let probe = &container[probe];
                assert_eq!(probe["httpGet"], json!({"path": "/healthz", "port": 80}));
                assert_eq!(check["timeout"], format!("{}s", probe["timeoutSeconds"]));
            }
        }
    }
}

// Fails without each of the lines that it is about, with a capability added, and with another user
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
        let user = format!("{}:{}", context["runAsUser"], context["runAsGroup"]);
        if name == "redis" {
            assert_eq!(user, "999:1000", "the user of the official image");
        } else {
            let dockerfile = read(&format!("{name}/Dockerfile"));
            assert!(dockerfile.contains(&format!("\nUSER {user}\n")), "{name}");
        }
        let hardened = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], hardened, "{name}");

        for file in ["docker-compose.yml", "docker-stack.yml"] {
            let service = &compose(file)[&name];
            assert_eq!(service["read_only"], true, "{file}: {name}");
            assert_eq!(service["cap_drop"], json!(["ALL"]), "{file}: {name}");
            for added in ["cap_add", "privileged", "sysctls"] {
                assert!(service[added].is_null(), "{file}: {name}: {added}");
            }
        }
        let options = &compose("docker-compose.yml")[&name]["security_opt"];
        assert_eq!(*options, json!(["no-new-privileges:true"]), "{name}");

        let resources = &container["resources"];
        assert!(resources["requests"]["cpu"].is_string(), "{name}");
        assert!(resources["limits"]["memory"].is_string(), "{name}");
    }
}

// Fails when an arrow is removed from the policies, when one is added (webui to rng), when a policy
// selects another pod, and when a port is another.
#[test]
fn the_network_policies_admit_the_arrows_of_the_diagram_and_no_others() {
    let services = of_kind("k8s", "Service");
    let port_of = |app: &str| json!([{"port": services[app]["spec"]["ports"][0]["port"]}]);
    let dns = json!([
        {"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"},
        {"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"},
    ]);
    let (mut ingress, mut egress) = (BTreeSet::new(), BTreeSet::new());
    for (name, policy) in &by_name(objects_of("k8s/policies/isolate-services.yaml")) {
        let spec = &policy["spec"];
        assert_eq!(spec["podSelector"], selector(name));
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{name}");
        for rule in list(&spec["ingress"]) {
            assert_eq!(rule["ports"], port_of(name), "{name}");
            for from in peers(&rule["from"]).unwrap_or_else(|| vec!["user".to_owned()]) {
                ingress.insert((from, name.clone()));
            }
        }
        for rule in list(&spec["egress"]) {
            let Some(peers) = peers(&rule["to"]) else {
                assert_eq!(rule["ports"], dns, "{name}");
                continue;
            };
            for to in peers {
                assert_eq!(rule["ports"], port_of(&to), "{name}");
                egress.insert((name.clone(), to));
            }
        }
    }
    let mut arrows = BTreeSet::from(ARROWS.map(|(from, to)| (from.to_owned(), to.to_owned())));
    assert_eq!(ingress, arrows);
    arrows.retain(|(from, _)| from != "user");
    assert_eq!(egress, arrows);
}

// Fails when a host or a path leads elsewhere, and with a port that the Service does not have.
#[test]
fn the_ingress_and_the_routes_lead_to_services() {
    let services = of_kind("k8s", "Service");
    let check = |name: &str, port: &Value, to: &str| {
        let service = to.trim_end_matches("-canary");
        assert_eq!(*port, services[service]["spec"]["ports"][0]["port"]);
        assert!(name.trim_start_matches('/') == service, "{name}: {to}");
    };
    for ingress in of_kind("k8s/ingress", "Ingress").values() {
        for rule in list(&ingress["spec"]["rules"]) {
            let service = &rule["http"]["paths"][0]["backend"]["service"];
            let host = text(&rule["host"]).trim_end_matches(".localhost");
            check(host, &service["port"]["number"], text(&service["name"]));
        }
    }
    for (name, route) in of_kind("k8s/gateway", "HTTPRoute") {
        for rule in list(&route["spec"]["rules"]) {
            let path = rule.pointer("/matches/0/path/value").map_or(&*name, text);
            let name = path.replace("dockercoins", "webui").replace("-canary", "");
            for backend in list(&rule["backendRefs"]) {
                check(&name, &backend["port"], text(&backend["name"]));
            }
        }
    }
}

// Fails with an image of another name or tag in one of the files, and without one.
#[test]
fn controllers_replace_the_images_of_the_manifests() {
    let deployments = deployments();
    let expected = BUILT.map(|name| {
        let image = text(&container(&deployments[name])["image"]);
        let (old, tag) = image.rsplit_once(':').unwrap();
        format!("{old}=ghcr.io/OWNER/{name}:{tag}")
    });
    let flux = of_kind("k8s/gitops", "Kustomization").remove("dockercoins");
    let images = list(&flux.unwrap()["spec"]["images"])
        .map(|image| {
            let field = |field| text(&image[field]);
            format!("{}={}:{}", field("name"), field("newName"), field("newTag"))
        })
        .collect::<Vec<_>>();
    assert_eq!(images, expected);
    let application = &of_kind("k8s/gitops", "Application")["dockercoins"]["spec"];
    let set = &of_kind("k8s/gitops", "ApplicationSet")["dockercoins"]["spec"]["template"]["spec"];
    for spec in [application, set] {
        assert_eq!(spec["source"]["kustomize"]["images"], json!(expected));
    }
}

/// The peers of a rule, by label; `None` if it admits all.
fn peers(peers: &Value) -> Option<Vec<String>> {
    let peers = peers.as_array()?.iter().map(|peer| {
        let app = text(&peer["podSelector"]["matchLabels"]["app"]);
        assert_eq!(*peer, json!({"podSelector": selector(app)}));
        app.to_owned()
    });
    Some(peers.collect())
}

fn selector(app: &str) -> Value {
    json!({"matchLabels": {"app": app}})
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
