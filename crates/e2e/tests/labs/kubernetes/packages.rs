//! The manifests as a Helm chart, as a Kustomize base, and applied by a controller.

use e2e::{Namespace, SERVICES, Webui, lab, try_run, until};
use serde_json::{Value, json};

use super::SOON;
use crate::{LONG, RNG_SPEED, WORKER_SPEED};

/// "`helm create`, copy the manifests into it, `helm install`. A second release in the same namespace
/// is refused."
// Fails when a manifest is no template, by a `{{` in a comment.
#[test]
#[ignore = "needs a Kubernetes cluster and Helm, and builds the images"]
fn k17_the_manifests_are_a_chart_that_installs_once() {
    let namespace = Namespace::new("k17");
    let own = format!("-n {}", namespace.name);
    let [install, again, uninstall] =
        lab::blocks("K17").map(|block| block.replace("-n coins", &own));
    namespace.sh(&install);
    until_it_works(&namespace, "services/webui");
    let refused = try_run(namespace.command(&again)).unwrap_err();
    assert!(refused.contains("cannot be imported"), "{refused}");
    namespace.sh(&uninstall);
    until(SOON, || namespace.get("deployments").is_empty());
}

/// "One chart for all five, with a values file each; then one release, by an umbrella with five
/// aliases."
// Fails with port 80 for redis, with the default probes for worker, and with a global tag that is
// ignored.
#[test]
#[ignore = "needs a Kubernetes cluster and Helm, and builds the images"]
fn k18_one_generic_chart_installs_all_five() {
    // The pods of a chart by `helm create` do not comply with the standard `restricted`.
    let namespace = Namespace::unrestricted("k18");
    let [generic, uninstall, umbrella, remove, ours, end] = lab::blocks("K18");
    for (install, uninstall) in [(generic, uninstall), (umbrella, remove)] {
        namespace.sh(&install);
        // A port with a name is part of the URL.
        until_it_works(&namespace, "services/webui:http");
        for deployment in namespace.get("deployments") {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            let container = &deployment["spec"]["template"]["spec"]["containers"][0];
            let speaks_http = ["hasher", "rng", "webui"].contains(&name);
            let path = if speaks_http { json!("/") } else { Value::Null };
            for probe in ["livenessProbe", "readinessProbe"] {
                assert_eq!(container[probe]["httpGet"]["path"], path, "{name}");
            }
            let port = if name == "redis" { 6379 } else { 80 };
            assert_eq!(container["ports"][0]["containerPort"], port, "{name}");
        }
        namespace.sh(&uninstall);
        until(SOON, || namespace.get("pods").is_empty());
    }
    namespace.sh(&ours);
    let webui = until_it_works(&namespace, "services/webui");
    webui.until_speed(SOON, 1.3 * RNG_SPEED);
    println!("two rngs: {:.2} hashes/second", webui.speed(LONG));
    namespace.sh(&end);
}

/// "The root of the repository is a base. An overlay changes registry, tag and replicas, and leaves
/// redis as it is."
// Fails without a manifest in kustomization.yaml, and without the label `app`.
#[test]
#[ignore = "needs a Kubernetes cluster and Git, and builds the images"]
fn k19_an_overlay_changes_images_and_replicas() {
    let namespace = Namespace::new("k19");
    let version = namespace.sh("kubectl version --client -o yaml");
    let (_, minor) = version.split_once("minor: \"").unwrap();
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let minor: u32 = minor.parse().unwrap();
    let overlay = format!("../{}-overlay", namespace.name);
    let adapt = |block: String| {
        let block = block.replace("../dockercoins", &format!("../{}", namespace.name));
        let resources = if minor < 21 { "bases:" } else { "resources:" };
        block
            .replace("../overlay", &overlay)
            .replace("resources:", resources)
    };
    let [images, labels, delete] = lab::blocks("K19").map(adapt);
    namespace.sh(&images);
    until_it_works(&namespace, "services/webui");
    let images = || {
        let rendered = namespace.sh(&format!("kubectl kustomize {overlay} 2>kustomize.log"));
        let lines = rendered.lines().filter(|line| line.contains("image: "));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let before = images();
    assert_eq!(before.len(), SERVICES.len());
    assert!(
        before.contains(&"- image: redis:8-alpine".to_owned()),
        "{before:?}"
    );

    if minor < 22 {
        println!("kubectl 1.{minor} reads no remote base on a disk, and has no replacements");
    } else {
        let git = "git -c user.name=test -c user.email=test@localhost";
        namespace.sh(&format!(
            "git init --quiet -b main && git add . && {git} commit --quiet -m base &&
             sed -i \"s|^resources:.*|resources: ['file://$PWD?ref=main']|\" {overlay}/kustomization.yaml"
        ));
        assert_eq!(images(), before);

        namespace.sh(&format!("BASE=../{}\n{labels}", namespace.name));
        assert_eq!(images(), before);
        let worker = &namespace.get("deployments -l app=worker")[0];
        assert_eq!(worker["spec"]["replicas"], 2);
    }
    namespace.sh(&delete);
}

/// "A controller applies the directory to a namespace that it chooses."
// Fails with a namespace in the metadata of a manifest.
#[test]
#[ignore = "needs a Kubernetes cluster"]
fn k22_whoever_applies_the_directory_chooses_the_namespace() {
    let (namespace, chosen) = (Namespace::new("k22"), Namespace::new("k22-chosen"));
    let [search, apply, _] = lab::blocks("K22");
    let nothing = try_run(namespace.command(&search)).unwrap_err();
    assert!(nothing.ends_with("exit status: 1\n"), "{nothing}");
    let apply = apply
        .replace("kubectl create namespace production\n", "")
        .replace("production", &chosen.name);
    namespace.sh(&apply);
    assert_eq!(chosen.get("deployments").len(), 5);
    assert_eq!(chosen.get("services").len(), 4);
    assert!(namespace.get("deployments,services").is_empty());
}

/// Waits until the application has started and counts.
#[track_caller]
fn until_it_works(namespace: &Namespace, service: &str) -> Webui {
    namespace.sh("kubectl wait --for=condition=Available --timeout=2m deployment --all");
    let url = namespace.url(service);
    let webui = Webui { url };
    webui.until_speed(SOON, 0.75 * WORKER_SPEED);
    webui
}
