//! The images of a release, in a registry of the test's own: pushed and joined as the workflow does
//! it, pulled by Compose, Swarm and Kubernetes.
//!
//!     cargo test -p e2e --test registry -- --ignored
//!
//! Needs a Docker engine, and the program of Debian's package `docker-registry`.

use std::{fs, time::Duration};

use e2e::{BUILT, Namespace, Project, Registry, Stack, Webui, get, root, sh, yaml};
use serde_json::Value;

const TAG: &str = "v1.0.0";
const REVISION: &str = "0123456789abcdef";
const SOURCE: &str = "https://example.org/dockercoins";
/// An application whose images are there does its first work within that on a slow machine.
const SOON: Duration = Duration::from_secs(60);

// Fails when a branch keeps its slash, when join makes no v0.1, without FEATURES for TAG-otel, when v0.2
// of worker is no slower, of webui is blue or of rng starts, and when standalone listens on 127.0.0.1.
#[test]
#[ignore = "needs a Docker engine and docker-registry, and builds the images"]
fn a_release_is_pushed_joined_and_pulled_by_compose_and_by_swarm() {
    let registry = Registry::start();
    let address = &registry.address;
    let release = push(address);

    // The build of a fork, into a project of its registry.
    let fork = release.replace(address.as_str(), &format!("{address}/coins"));
    sh!("BRANCH=fix/1 {fork} branch");
    for service in BUILT {
        let tags = get(&format!("http://{address}/v2/coins/{service}/tags/list")).unwrap();
        assert!(
            tags.contains("\"fix-1\"") && tags.contains(REVISION),
            "{tags}"
        );
    }

    // Images for the other architecture, as its runner would push them.
    let here = sh!("docker version --format '{}'", "{{.Server.Arch}}");
    let other = if here == "arm64" { "amd64" } else { "arm64" };
    let mut parts = BUILT.map(|service| format!("{service}:{TAG}")).to_vec();
    parts.extend(BUILT.map(|service| format!("{service}:{TAG}-otel")));
    parts.push(format!("dockercoins:{TAG}"));
    parts.extend(["rng", "webui", "worker"].map(|service| format!("{service}:v0.2")));
    for part in &parts {
        let name = format!("{address}/{part}-{other}");
        let build = format!("docker buildx build --platform linux/{other} --push --tag {name}");
        sh!("printf 'FROM scratch\nCOPY Cargo.lock /\n' | {build} --file - .");
    }
    sh!("{release} join {here} {other}");
    for service in BUILT {
        let lists = [TAG, "latest", "v0.1"]
            .map(|tag| sh!("docker buildx imagetools inspect --raw {address}/{service}:{tag}"));
        for architecture in [&*here, other] {
            let platform = format!("\"architecture\": \"{architecture}\"");
            assert_eq!(lists[0].matches(&platform).count(), 1, "{}", lists[0]);
        }
        assert!(lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    }

    // From here on, an image is there only if it was pulled.
    remove_images(address);
    let project = Project::with_own_images("pulled");
    sh!("{release} files");
    let file = fs::read_to_string(root().join("dist/compose.yaml")).unwrap();
    let services = &yaml::parse(&file)[0]["services"];
    for service in BUILT {
        let pulled = services[service]["image"].as_str().unwrap();
        assert!(pulled.starts_with(&format!("{address}/{service}@sha256:")));
        assert_eq!(services[service]["build"], Value::Null);
        project.edit(&project.image(service), pulled);
    }
    project.compose(&format!("pull {}", BUILT.join(" ")));
    for service in BUILT {
        let image = services[service]["image"].as_str().unwrap();
        let version = sh!("docker run --rm {image} --version");
        let expected = format!("{service} {} ({REVISION})", &TAG[1..]);
        assert_eq!(version, expected);
        for (label, value) in [
            ("title", service),
            ("version", &TAG[1..]),
            ("revision", REVISION),
            ("source", SOURCE),
        ] {
            let label =
                format!("{{{{index .Config.Labels \"org.opencontainers.image.{label}\"}}}}");
            assert_eq!(sh!("docker inspect --format '{label}' {image}"), value);
        }
    }
    let variable = "OTEL_EXPORTER_OTLP_ENDPOINT=http://[";
    for service in BUILT {
        let run = format!("docker run --rm -e {variable} {address}/{service}:{TAG}-otel 2>&1");
        let log = sh!("timeout 30 {run} || echo $?");
        assert!(log.contains("cannot export spans"), "{service}: {log}");
    }
    project.compose("up -d --no-build");
    project.webui().until_hashes(SOON, 4);
    let start = |image: &str, port| {
        let options = format!("-d --label {} -p 127.0.0.1::{port}", project.label);
        // A run that pulls prints more than the container.
        sh!("docker pull {address}/{image}");
        let container = sh!("docker run {options} {address}/{image}");
        format!("http://{}", sh!("docker port {container} {port}"))
    };
    let url = start(&format!("dockercoins:{TAG}"), 8000);
    Webui { url }.until_hashes(SOON, 4);
    let url = start("webui:v0.2", 80);
    let style = get(&format!("{url}/style.css")).unwrap();
    assert!(style.contains("seagreen") && !style.contains("steelblue"));
    sh!("docker pull {address}/rng:v0.2");
    let rng = sh!("docker run --rm {address}/rng:v0.2 2>&1 || echo $?");
    assert!(
        rng.starts_with("error: invalid value 'soon'") && rng.ends_with('2'),
        "{rng}"
    );
    drop(project);
    sh!("docker pull {address}/worker:v0.2");
    let environment = "docker inspect --format '{{.Config.Env}}'";
    let environment = sh!("{environment} {address}/worker:v0.2");
    assert!(environment.contains("DELAY=2s"), "{environment}");

    remove_images(address);
    let stack = Stack::pull("pulled", &format!("REGISTRY={address} TAG={TAG}"));
    stack.webui().until_hashes(SOON, 4);
}

#[test]
#[ignore = "needs a Kubernetes cluster on this engine and docker-registry, and builds the images"]
fn a_release_is_pulled_by_kubernetes() {
    let registry = Registry::start();
    let address = &registry.address;
    let release = push(address);
    sh!(
        "{release} join $(docker version --format '{}')",
        "{{.Server.Arch}}"
    );
    let namespace = Namespace::new("pulled");
    remove_images(address);
    sh!("{release} files");
    namespace.sh(&format!(
        "kubectl apply -f {}/dist/dockercoins.yaml",
        root().display()
    ));
    namespace.sh("kubectl wait --for=condition=Available --timeout=2m deployment --all");
    namespace.webui().until_hashes(SOON, 4);
    for service in BUILT {
        assert_ne!(sh!("docker images -q {address}/{service}"), "", "{service}");
    }
}

/// Builds and pushes the images for this architecture; the result is what begins the next step of the
/// release.
fn push(registry: &str) -> String {
    let variables = format!("REGISTRY={registry} TAG={TAG} REVISION={REVISION} SOURCE={SOURCE}");
    // The profile that the other tests build with, whose dependencies are in the cache.
    let release = format!("PROFILE=release {variables} bash .ci/release");
    sh!("{release} push");
    release
}

/// Removes the images of the engine with names in this registry.
fn remove_images(address: &str) {
    sh!("docker rmi --force $(docker images -q '{address}/*' | sort -u)");
}
