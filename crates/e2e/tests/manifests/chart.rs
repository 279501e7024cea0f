//! What the Helm chart renders, compared with the manifests. Needs Helm, but no cluster.
//!
//!     cargo test -p e2e --test manifests -- --ignored

use std::collections::BTreeMap;

use e2e::{BUILT, sh, yaml};
use serde_json::{Value, json};

use super::{objects, text};

// Fails with another limit in one of both, without the Service of redis, and with a Service for worker.
#[test]
#[ignore = "needs Helm"]
fn the_chart_renders_what_the_manifests_say() {
    assert_eq!(rendered(""), by_kind_and_name(objects("k8s")));
}

// Fails when a value is ignored.
#[test]
#[ignore = "needs Helm"]
fn values_change_images_replicas_probes_and_secrets_and_nothing_else() {
    let set = "--set global.registry=ghcr.io/example,global.tag=v2,global.imagePullSecrets[0].name=key,worker.replicaCount=0,rng.replicaCount=3,rng.livenessProbe.httpGet.path=/,worker.env.DELAY=2s";
    let (mut expected, changed) = (rendered(""), rendered(set));
    for ((kind, name), object) in &mut expected {
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
            "worker" => {
                container["env"] = json!([{"name": "DELAY", "value": "2s"}]);
                object["spec"]["replicas"] = json!(0);
            }
            _ => {}
        }
    }
    assert_eq!(changed, expected);
}

/// The objects of the chart with these arguments.
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
