//! What the Helm chart renders, compared with the manifests. Needs Helm, but no cluster.
//!
//!     cargo test -p e2e --test chart -- --ignored
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs};

use e2e::{BUILT, root, sh, yaml};
use serde_json::{Value, json};

// Fails with another limit in one of both, without the Service of redis, and with a Service for worker.
#[test]
#[ignore = "needs Helm"]
fn the_chart_renders_what_the_manifests_say() {
    let files = fs::read_dir(root().join("k8s")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let manifests = paths.filter(|path| path.is_file()).map(fs::read_to_string);
    let manifests: String = manifests.map(Result::unwrap).collect();
    assert_eq!(rendered(""), by_name(&manifests));
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

/// The objects of the chart with these arguments, by kind and name.
fn rendered(arguments: &str) -> BTreeMap<(String, String), Value> {
    by_name(&sh!(
        "helm template dockercoins charts/dockercoins {arguments}"
    ))
}

fn by_name(text: &str) -> BTreeMap<(String, String), Value> {
    let documents = yaml::parse(text).into_iter();
    let objects = documents.filter(|object| !object.is_null());
    let key = |field: &Value| field.as_str().unwrap().to_owned();
    objects
        .map(|object| {
            let name = key(&object["metadata"]["name"]);
            ((key(&object["kind"]), name), object)
        })
        .collect()
}
