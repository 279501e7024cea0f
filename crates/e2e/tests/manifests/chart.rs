//! The rendered Helm chart, compared with the manifests. Needs Helm, but no cluster.
//!
//!     cargo test -p e2e --test manifests -- --ignored

use std::collections::BTreeMap;

use e2e::{BUILT, sh, yaml};
use serde_json::{Value, json};

use super::{objects, read, text};

// Fails with another limit on either side, without the Service of redis, with a Service for worker,
// and when the image of rng has another tag than appVersion.
#[test]
#[ignore = "needs Helm"]
fn the_chart_renders_the_manifests_with_the_recommended_labels() {
    let chart = yaml::parse(&read("charts/dockercoins/Chart.yaml")).remove(0);
    let mut expected = by_kind_and_name(objects("k8s"));
    for ((_, name), object) in &mut expected {
        let built = BUILT.contains(&&**name);
        let version = if built {
            text(&chart["appVersion"])
        } else {
            "8-alpine"
        };
        label(object, version);
    }
    assert_eq!(rendered(""), expected);
}

// Fails when a value is ignored, and with two lists of sysctls.
#[test]
#[ignore = "needs Helm"]
fn values_change_images_replicas_probes_and_secrets_and_nothing_else() {
    let set = "--set global.registry=ghcr.io/example,global.tag=v2,global.imagePullSecrets[0].name=key,worker.replicaCount=0,rng.replicaCount=3,rng.livenessProbe.httpGet.path=/,worker.env.DELAY=2s,redis.enabled=false,worker.envFrom[0].secretRef.name=redis,hasher.podSecurityContext.sysctls[0].name=other";
    let (mut expected, changed) = (rendered(""), rendered(set));
    expected.retain(|(_, name), _| name != "redis");
    for ((kind, name), object) in &mut expected {
        if BUILT.contains(&&**name) {
            label(object, "v2");
        }
        if kind != "Deployment" {
            continue;
        }
        let pod = &mut object["spec"]["template"]["spec"];
        pod["imagePullSecrets"] = json!([{"name": "key"}]);
        let container = &mut pod["containers"][0];
        if BUILT.contains(&&**name) {
            container["image"] = json!(format!("ghcr.io/example/{name}:v2"));
        }
        match &**name {
            "rng" => {
                container["livenessProbe"]["httpGet"]["path"] = json!("/");
                object["spec"]["replicas"] = json!(3);
            }
            "hasher" => pod["securityContext"]["sysctls"] = json!([{"name": "other"}]),
            "worker" => {
                container["envFrom"] = json!([{"secretRef": {"name": "redis"}}]);
                container["env"] = json!([{"name": "DELAY", "value": "2s"}]);
                object["spec"]["replicas"] = json!(0);
            }
            _ => {}
        }
    }
    assert_eq!(changed, expected);
}

// Fails when the name is the chart's.
#[test]
#[ignore = "needs Helm"]
fn the_chart_of_a_component_installs_one_under_the_name_of_the_release() {
    let objects = sh!("helm template rng charts/dockercoins/charts/component");
    for name in ["  name: rng\n", "image: 127.0.0.1:5000/rng:v0.1\n"] {
        assert!(objects.contains(name), "{objects}");
    }
}

/// Sets the labels that the chart gives to an object and, if it is a Deployment, to its pods.
fn label(object: &mut Value, version: &str) {
    let name = &object["metadata"]["name"];
    let labels = json!({
        "app": name,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": "dockercoins",
        "app.kubernetes.io/version": version,
        "app.kubernetes.io/component": name,
        "app.kubernetes.io/part-of": "dockercoins",
        "app.kubernetes.io/managed-by": "Helm",
    });
    if let Some(of_pods) = object.pointer_mut("/spec/template/metadata/labels") {
        *of_pods = labels.clone();
    }
    object["metadata"]["labels"] = labels;
}

/// The objects that the chart renders with these arguments.
fn rendered(arguments: &str) -> BTreeMap<(String, String), Value> {
    let mut objects = yaml::parse(&sh!(
        "helm template dockercoins charts/dockercoins {arguments}"
    ));
    objects.retain(|object| !object.is_null());
    by_kind_and_name(objects)
}

fn by_kind_and_name(objects: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let key = |object: &Value| {
        let fields = [&object["kind"], &object["metadata"]["name"]];
        fields.map(|field| text(field).to_owned()).into()
    };
    let objects = objects.into_iter();
    objects.map(|object| (key(&object), object)).collect()
}
