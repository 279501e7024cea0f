//! The labs on Kubernetes, on the cluster that `KUBECONFIG` names.
//!
//!     cargo test -p e2e --test labs kubernetes -- --ignored
//!
//! Each test has a namespace of its own. The images are built in the engine; a cluster that has
//! others than the engine gets them by the command `LOAD_IMAGE`, run with the name of each, such as
//! `LOAD_IMAGE="kind load docker-image"`.

mod access;
mod by_hand;
mod packages;
mod probes;
mod rollouts;

use std::time::Duration;

use e2e::{HTTP_SERVICES, Namespace, SERVICES, Webui, log, sh, try_run, until};
use serde_json::Value;

use crate::{LONG, RNG_SPEED, WORKER_SPEED};

/// A change of the desired state takes effect within that.
const SOON: Duration = Duration::from_secs(60);
/// So many probes may time out because the machine is stalled.
const STALLS: usize = 3;

/// "One `kubectl apply -f`, and we have five Deployments and four Services."
// Fails with webui's targetPort 8080, with a selector that finds no rng, and with a Service for worker.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k1_one_apply_brings_up_five_deployments_and_four_services() {
    let ports = [("hasher", 80), ("redis", 6379), ("rng", 80), ("webui", 80)];
    let namespace = Namespace::new("k1");
    let applied = namespace.sh("kubectl apply --dry-run=server -o name -f k8s/ | sort");
    let deployments = SERVICES.map(|name| format!("deployment.apps/{name}"));
    let services = ports.map(|(name, _)| format!("service/{name}"));
    let expected = [&deployments[..], &services].concat();
    assert_eq!(applied, expected.join("\n"));

    namespace.apply();
    assert_eq!(namespace.get("deployments").len(), 5);
    let services = namespace.get("services");
    assert_eq!(services.len(), ports.len());
    for (service, (name, port)) in services.iter().zip(ports) {
        assert_eq!(service["metadata"]["name"], name);
        assert_eq!(service["spec"]["ports"][0]["port"], port);
    }
    let webui = namespace.webui();
    webui.until_hashes(SOON, 4);
    assert_speed(&webui, WORKER_SPEED);
}

/// "rng is fine, but worker cannot resolve the names of the others: we need Services."
// Fails when worker gives up after a failure, and when it waits 20 s.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k2_without_services_rng_runs_and_worker_retries_after_10_s_at_most() {
    let namespace = Namespace::new("k2");
    namespace.apply();
    namespace.sh("kubectl delete service rng hasher redis webui");
    namespace.sh("kubectl rollout restart deployment rng worker");
    namespace.until_rolled_out("rng");
    namespace.until_rolled_out("worker");
    let one_runs = |service| namespace.running(service).len() == 1;
    until(SOON, || one_runs("rng") && one_runs("worker"));

    // Of five pauses in a row the last is 8 s, all after that are 10 s.
    let worker = only_pod(&namespace, "worker");
    let log = || namespace.sh(&format!("kubectl logs {worker}"));
    let longest = log::RETRY.join("10");
    let retries = || log().matches(&longest).count();
    until(Duration::from_secs(90), || retries() >= 2);
    let errors = log();
    assert!(errors.contains("failed to lookup address"), "{errors}");
    for retry in errors.split(log::RETRY[0]).skip(1) {
        let (pause, _) = retry.split_once(log::RETRY[1]).unwrap();
        assert!(pause.parse::<f32>().unwrap() <= 10.0, "{errors}");
    }
    assert_eq!(only_pod(&namespace, "worker"), worker);
    let rng = only_pod(&namespace, "rng");
    let bytes = sh!("curl -sSf {}/10 | wc -c", namespace.url(&rng));
    assert_eq!(bytes, "10");

    // The names come back, and so do the units, of which it had none yet.
    namespace.apply();
    until(SOON, || {
        let log = log();
        let mut updates = log.lines().filter(|line| line.contains(log::UPDATE));
        updates.any(|update| !update.starts_with("INFO 0 units"))
    });
    assert_eq!(only_pod(&namespace, "worker"), worker);
}

/// "Let's add probes on / to rng, hasher and webui. What happens with 15 workers?"
// Fails when / does not wait in rng's queue, and when the manifest's own probes ask /.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k3_probes_on_the_root_work_but_time_out_at_rng_with_15_workers() {
    let namespace = start("k3", 15);
    assert_speed(&namespace.webui(), RNG_SPEED);
    // Those of the manifests do not wait in the queue.
    let few = timeouts(&namespace);
    assert!(few.len() <= STALLS, "{few:?}");

    namespace.scale(2);
    for deployment in HTTP_SERVICES {
        let replace = |probe| {
            let path = format!("/spec/template/spec/containers/0/{probe}");
            let value = r#"{"httpGet": {"path": "/", "port": 80}, "periodSeconds": 3}"#;
            format!(r#"{{"op": "replace", "path": "{path}", "value": {value}}}"#)
        };
        let patch = ["livenessProbe", "readinessProbe"].map(replace).join(", ");
        let line = format!("kubectl patch deployment {deployment} --type=json -p '[{patch}]'");
        namespace.sh(&line);
        namespace.until_rolled_out(deployment);
    }
    until(SOON, || {
        let log = try_run(namespace.command("kubectl logs deployment/rng"));
        log.is_ok_and(|log| log.matches("\"GET / HTTP/1.1\" 200").count() > 4)
    });
    let few = timeouts(&namespace);
    assert!(few.len() <= STALLS, "{few:?}");

    namespace.scale(15);
    let count = |timeouts: &[String], of: &str| {
        let timeouts = timeouts.iter().filter(|timeout| timeout.starts_with(of));
        timeouts.count()
    };
    until(Duration::from_secs(180), || {
        let timeouts = timeouts(&namespace);
        count(&timeouts, "rng: ") >= 10 && count(&timeouts, "rng: Liveness") > 0
    });
    let timeouts = timeouts(&namespace);
    let of_rng = count(&timeouts, "rng: ");
    assert!(of_rng > timeouts.len() / 2, "{timeouts:?}");
}

/// "These network policies admit the arrows of the diagram. The graph stays as it is."
// Fails with a field that no policy has, and without the last of them. Which arrows they admit, the
// test target `manifests` compares, as not every cluster enforces them.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k4_network_policies_for_the_arrows_leave_the_speed_as_it_is() {
    let namespace = start("k4", 10);
    let webui = namespace.webui();
    let before = assert_speed(&webui, RNG_SPEED);
    namespace.sh("kubectl apply -f k8s/policies/isolate-services.yaml");
    assert_eq!(namespace.get("networkpolicies").len(), 5);
    assert_speed(&webui, before);
}

/// "v0.2 is slower; v0.3 does not exist: the rollout is stuck, but the application is not down."
// Fails when TERM is ignored, and with maxUnavailable: 100%.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k5_a_rollout_slows_down_one_without_an_image_stalls_and_undo_mends_it() {
    let namespace = start("k5", 10);
    namespace.derive_worker("v0.2", "ENV DELAY=2s");
    // One that ignores TERM stays for five minutes.
    let patch = r#"{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 300}}}}"#;
    namespace.sh(&format!("kubectl patch deployment worker -p '{patch}'"));
    namespace.until_rolled_out("worker");
    let webui = namespace.webui();
    assert_speed(&webui, RNG_SPEED);

    namespace.sh("kubectl set image deployment worker worker=$REGISTRY/worker:v0.2");
    namespace.until_rolled_out("worker");
    // The old ones exit at once.
    until(SOON, || namespace.running("worker").len() == 10);
    // A unit takes 2.2 s, and rng is hardly ever asked by two at a time.
    let whole = assert_speed(&webui, 10.0 / 2.2);

    namespace.sh("kubectl set image deployment worker worker=$REGISTRY/worker:v0.3");
    let cannot_pull = |pod: &Value| {
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        waiting == "ErrImagePull" || waiting == "ImagePullBackOff"
    };
    let pods = || namespace.get("pods -l app=worker");
    until(SOON, || pods().iter().any(cannot_pull));
    assert_speed(&webui, whole * 0.8);
    let status = namespace.command("kubectl rollout status deployment worker --timeout=1s");
    try_run(status).expect_err("the rollout is over");

    namespace.sh("kubectl rollout undo deployment worker");
    namespace.until_rolled_out("worker");
    assert_speed(&webui, whole);
}

/// The application with so many workers.
fn start(name: &str, workers: usize) -> Namespace {
    start_in(Namespace::new(name), workers)
}

fn start_in(namespace: Namespace, workers: usize) -> Namespace {
    namespace.apply();
    namespace.scale(workers);
    namespace
}

/// Asserts that the speed is the expected one, but for what a busy machine takes away.
#[track_caller]
fn assert_speed(webui: &Webui, expected: f64) -> f64 {
    let speed = webui.speed(LONG);
    let ratio = speed / expected;
    println!("{speed:.2} hashes/second, {ratio:.3} of {expected:.2}");
    assert!((0.85..1.03).contains(&ratio), "{ratio:.3} of {expected:.2}");
    speed
}

/// Asserts that the speed is about the expected one: a sample that is shorter, for steps that are
/// large.
#[track_caller]
fn assert_step(webui: &Webui, expected: f64) {
    let speed = webui.speed(Duration::from_secs(15));
    let ratio = speed / expected;
    println!("{speed:.2} hashes/second, {ratio:.3} of {expected:.2}");
    assert!((0.7..1.2).contains(&ratio), "{ratio:.3} of {expected:.2}");
}

/// A block with URLs of `ClusterIP`s. Where those cannot be reached, as outside of a cluster whose
/// nodes are containers, they are replaced by those of the API server.
fn reachable(namespace: &Namespace, block: &str) -> String {
    let [before, after] = [
        "http://$(kubectl get service ",
        " -o jsonpath={.spec.clusterIP})",
    ];
    assert!(block.contains(before) && block.contains(after), "{block}");
    let curl = format!("curl -sm 5 {before}hasher{after}");
    if try_run(namespace.command(&curl)).is_ok() {
        return block.to_owned();
    }
    let url = namespace.url("services/SERVICE");
    let (beginning, end) = url.split_once("SERVICE").unwrap();
    block.replace(before, beginning).replace(after, end)
}

/// The only pod of a service, as `pods/<name>`; its container was never started again.
#[track_caller]
fn only_pod(namespace: &Namespace, service: &str) -> String {
    let pods = namespace.running(service);
    assert_eq!(pods.len(), 1, "{pods:?}");
    let restarts = &pods[0]["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(*restarts, 0, "{pods:?}");
    format!("pods/{}", pods[0]["metadata"]["name"].as_str().unwrap())
}

/// Each time that a probe has timed out, as `<deployment>: <probe>`. A server that does not listen yet
/// refuses the connection, which does not count.
fn timeouts(namespace: &Namespace) -> Vec<String> {
    let events = namespace.get("events --field-selector reason=Unhealthy");
    let timeouts = events.iter().filter_map(|event| {
        let pod = event["involvedObject"]["name"].as_str()?;
        let message = event["message"].as_str()?;
        let (probe, reason) = message.split_once(" probe failed: ")?;
        let deployment = pod.split('-').next()?;
        let times = usize::try_from(event["count"].as_u64().unwrap_or(1)).ok()?;
        let timed_out = reason.contains("Client.Timeout");
        timed_out.then(|| vec![format!("{deployment}: {probe}"); times])
    });
    timeouts.flatten().collect()
}
