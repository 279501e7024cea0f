//! The rendered Helm chart, compared with the manifests. Needs Helm, but no cluster.
//!
//!     cargo test -p e2e --test manifests -- --ignored

use std::collections::BTreeMap;

use e2e::{BUILT, sh, shell, try_run, yaml};
use serde_json::{Value, json};

use super::{objects, objects_of, read, text};

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

// Fails when a toggle is on by default, when an arrow is missing in the policies, with another port in
// the Ingress, and with the metric of CPU in the autoscaler.
#[test]
#[ignore = "needs Helm"]
fn toggles_add_the_objects_of_the_directories_of_k8s() {
    let toggles = "--set ingress.enabled=true,httpRoute.enabled=true,networkPolicies.enabled=true,rng.autoscaling.enabled=true";
    let (default, mut added) = (rendered(""), rendered(toggles));
    added.retain(|key, _| !default.contains_key(key));
    let mut expected = Vec::new();
    for file in [
        "autoscaling/hpa",
        "ingress/dockercoins",
        "policies/isolate-services",
    ] {
        expected.extend(objects_of(&format!("k8s/{file}.yaml")));
    }
    let routes = objects_of("k8s/gateway/routes.yaml").into_iter();
    let is_route = |object: &Value| object["kind"] == "HTTPRoute";
    expected
        .extend(routes.filter(|object| is_route(object) && object["metadata"]["name"] == "webui"));
    let specs = |objects: BTreeMap<_, Value>| -> BTreeMap<_, _> {
        let spec = |mut object: Value| object["spec"].take();
        objects
            .into_iter()
            .map(|(key, object)| (key, spec(object)))
            .collect()
    };
    assert_eq!(specs(added), specs(by_kind_and_name(expected)));
}

// Fails when the rules are templates, when a dashboard is missing, when worker is scraped on port 80,
// when a policy denies the scrape or the spans, and when redis gets the endpoint.
#[test]
#[ignore = "needs Helm"]
fn a_prometheus_operator_and_a_collector_are_served() {
    let set = "--set podMonitor.enabled=true,podMonitor.labels.release=one,prometheusRule.enabled=true,dashboards.enabled=true,networkPolicies.enabled=true,webui.podDisruptionBudget.enabled=true,global.otel.endpoint=http://collector.other:4318";
    let all = rendered(set);
    let object = |kind: &str, name: &str| &all[&(kind.to_owned(), name.to_owned())];
    let rules = yaml::parse(&read("charts/dockercoins/files/rules.yml")).remove(0);
    assert_eq!(object("PrometheusRule", "dockercoins")["spec"], rules);
    let dashboards = object("ConfigMap", "dockercoins-dashboards");
    assert_eq!(dashboards["metadata"]["labels"]["grafana_dashboard"], "1");
    for name in ["dockercoins.json", "objective.json"] {
        let file = read(&format!("charts/dockercoins/files/dashboards/{name}"));
        assert_eq!(text(&dashboards["data"][name]), file);
    }
    let monitor = object("PodMonitor", "dockercoins");
    assert_eq!(monitor["metadata"]["labels"]["release"], "one");
    let address = &monitor["spec"]["podMetricsEndpoints"][0]["relabelings"][0];
    assert_eq!(address["replacement"], "$1:9464");
    let budget = &object("PodDisruptionBudget", "webui")["spec"];
    assert_eq!(budget["selector"]["matchLabels"], json!({"app": "webui"}));
    assert_eq!(budget["maxUnavailable"], 1);
    for (name, port) in [("hasher", 80), ("rng", 80), ("webui", 80), ("worker", 9464)] {
        let container = &object("Deployment", name)["spec"]["template"]["spec"]["containers"][0];
        let image = format!("127.0.0.1:5000/{name}:v0.1-otel");
        assert_eq!(container["image"], image);
        let variable =
            json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.other:4318"});
        assert!(container["env"].as_array().unwrap().contains(&variable));
        let policy = &object("NetworkPolicy", name)["spec"];
        let (ingress, egress) = (
            policy["ingress"].as_array().unwrap(),
            policy["egress"].as_array().unwrap(),
        );
        assert_eq!(ingress.last().unwrap()["ports"], json!([{"port": port}]));
        assert!(
            egress.contains(&json!({"ports": [{"port": 4318}]})),
            "{policy}"
        );
    }
    let redis = &object("Deployment", "redis")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&redis["env"], &redis["image"]),
        (&Value::Null, &json!("redis:8-alpine"))
    );
    assert_eq!(
        object("NetworkPolicy", "redis")["spec"]["egress"],
        Value::Null
    );
}

// Fails without "additionalProperties" in either schema.
#[test]
#[ignore = "needs Helm"]
fn a_value_that_does_not_exist_is_an_error() {
    for value in [
        "globl.tag=v2",
        "global.tga=v2",
        "podMonitor.enable=true",
        "rng.replicas=2",
    ] {
        let template = format!("helm template dockercoins charts/dockercoins --set {value}");
        let error = try_run(&shell(template)).unwrap_err();
        assert!(error.contains("dditional propert"), "{value}: {error}");
    }
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
    objects.retain(|object| !object.is_null() && !is_test(object));
    by_kind_and_name(objects)
}

/// Whether only `helm test` installs it.
fn is_test(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"] == "test"
}

fn by_kind_and_name(objects: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let key = |object: &Value| {
        let fields = [&object["kind"], &object["metadata"]["name"]];
        fields.map(|field| text(field).to_owned()).into()
    };
    let objects = objects.into_iter();
    objects.map(|object| (key(&object), object)).collect()
}
