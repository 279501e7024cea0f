//! The labs on Kubernetes, on the cluster that `KUBECONFIG` names.
//!
//!     cargo test -p e2e --test claims kubernetes -- --ignored
//!
//! Each test has a namespace of its own. The images are built in the engine; a cluster that has
//! others than the engine gets them by the command `LOAD_IMAGE`, run with the name of each, such as
//! `LOAD_IMAGE="kind load docker-image"`.

use std::time::Duration;

use anyhow::Result;
use e2e::{kubernetes::Namespace, until};

/// Long enough for a mean.
const LONG: Duration = Duration::from_secs(30);

/// The cluster sees, decides and starts something within that.
const SOON: Duration = Duration::from_secs(60);

/// So many probes may time out for no other reason than that the machine stood still.
const STALLS: usize = 3;

/// Hashes a second of one worker, of which a unit takes 0.3 s.
const WORKER: f64 = 1.0 / 0.3;

/// Hashes a second that rng lets through, one at a time.
const RNG: f64 = 10.0;

/// "One `kubectl apply -f`, and we have five Deployments and four Services."
// Fails with webui's targetPort 8080, with a selector that finds no rng, and with a Service for worker.
#[tokio::test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
async fn k1_one_apply_brings_up_five_deployments_and_four_services() {
    let namespace = Namespace::new("k1").unwrap();
    let dry = "kubectl apply --dry-run=server -o name -f k8s/";
    let applied = namespace.sh(dry).unwrap();
    let mut applied: Vec<_> = applied.lines().collect();
    applied.sort_unstable();
    assert_eq!(
        applied,
        [
            "deployment.apps/hasher",
            "deployment.apps/redis",
            "deployment.apps/rng",
            "deployment.apps/webui",
            "deployment.apps/worker",
            "service/hasher",
            "service/redis",
            "service/rng",
            "service/webui",
        ]
    );

    namespace.apply().unwrap();
    assert_eq!(namespace.get("deployments").unwrap().len(), 5);
    let ports: Vec<_> = namespace
        .get("services")
        .unwrap()
        .iter()
        .map(|service| {
            let name = service["metadata"]["name"].as_str().unwrap().to_owned();
            (name, service["spec"]["ports"][0]["port"].as_u64().unwrap())
        })
        .collect();
    let expected = [("hasher", 80), ("redis", 6379), ("rng", 80), ("webui", 80)];
    assert_eq!(
        ports,
        expected
            .map(|(name, port)| (name.to_owned(), port))
            .to_vec()
    );
    until(SOON, async || Ok(namespace.hashes().await? > 4))
        .await
        .unwrap();
    let speed = namespace.speed(LONG).await.unwrap();
    assert_ratio(speed, WORKER);
}

/// "rng is fine, but worker cannot resolve the names of the others: we need Services."
// Fails when worker gives up after a failure, and when it waits 20 s.
#[tokio::test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
async fn k2_without_services_rng_runs_and_worker_retries_after_10_s_at_most() {
    let namespace = Namespace::new("k2").unwrap();
    namespace.apply().unwrap();
    namespace
        .sh("kubectl delete service rng hasher redis webui &&
             kubectl rollout restart deployment rng worker &&
             kubectl rollout status deployment rng --timeout=2m &&
             kubectl rollout status deployment worker --timeout=2m")
        .unwrap();

    until(SOON, async || {
        Ok(namespace.running("rng")?.len() == 1 && namespace.running("worker")?.len() == 1)
    })
    .await
    .unwrap();

    // Of five pauses in a row the last is 8 s, all after that are 10 s.
    let worker = only_pod(&namespace, "worker");
    let log = async || namespace.sh(&format!("kubectl logs {worker}"));
    until(Duration::from_secs(90), async || {
        Ok(log().await?.matches("Waiting 10s and restarting.").count() >= 2)
    })
    .await
    .unwrap();
    let log = log().await.unwrap();
    assert!(log.contains("failed to lookup address"), "{log}");
    for pause in log.lines().filter_map(|line| {
        let (_, pause) = line.split_once("Waiting ")?;
        pause.strip_suffix("s and restarting.")
    }) {
        assert!(pause.parse::<f32>().unwrap() <= 10.0, "{log}");
    }
    assert_eq!(only_pod(&namespace, "worker"), worker);
    let rng = only_pod(&namespace, "rng");
    let url = format!("{}/10", namespace.url(&rng));
    let bytes = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len(), 10);

    // The names come back, and so do the units, of which it had none yet.
    namespace.apply().unwrap();
    until(SOON, async || {
        let log = namespace.sh(&format!("kubectl logs {worker}"))?;
        let mut updates = log
            .lines()
            .filter(|line| line.contains("units of work done"));
        Ok(updates.any(|update| !update.starts_with("INFO 0 units")))
    })
    .await
    .unwrap();
    assert_eq!(only_pod(&namespace, "worker"), worker);
}

/// "Let's add probes on / to rng, hasher and webui. What happens with 15 workers?"
// Fails when / does not wait in rng's queue, and when the manifest's own probes ask /.
#[tokio::test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
async fn k3_probes_on_the_root_work_but_time_out_at_rng_with_15_workers() {
    let namespace = Namespace::new("k3").unwrap();
    namespace.apply().unwrap();
    namespace.scale(15).unwrap();
    let speed = namespace.speed(LONG).await.unwrap();
    assert_ratio(speed, RNG);
    // Those of the manifests do not wait in the queue.
    let few = timeouts(&namespace).unwrap();
    assert!(few.len() <= STALLS, "{few:?}");

    namespace.scale(2).unwrap();
    for deployment in ["rng", "hasher", "webui"] {
        let probe = r#"{"httpGet": {"path": "/", "port": 80}, "periodSeconds": 3}"#;
        let replace = |which| {
            let path = format!("/spec/template/spec/containers/0/{which}Probe");
            format!(r#"{{"op": "replace", "path": "{path}", "value": {probe}}}"#)
        };
        let (liveness, readiness) = (replace("liveness"), replace("readiness"));
        namespace
            .sh(&format!(
                "kubectl patch deployment {deployment} --type=json -p '[{liveness}, {readiness}]' &&
                 kubectl rollout status deployment {deployment} --timeout=2m"
            ))
            .unwrap();
    }
    until(SOON, async || {
        let log = namespace.sh("kubectl logs deployment/rng")?;
        Ok(log.matches("\"GET / HTTP/1.1\" 200").count() > 4)
    })
    .await
    .unwrap();
    let few = timeouts(&namespace).unwrap();
    assert!(few.len() <= STALLS, "{few:?}");

    namespace.scale(15).unwrap();
    let of_rng = |timeouts: &[String], probe: &str| {
        let of_rng = format!("rng: {probe}");
        timeouts
            .iter()
            .filter(|timeout| timeout.starts_with(&of_rng))
            .count()
    };
    until(Duration::from_secs(180), async || {
        let timeouts = timeouts(&namespace)?;
        Ok(of_rng(&timeouts, "") >= 10 && of_rng(&timeouts, "Liveness") > 0)
    })
    .await
    .unwrap();
    let timeouts = timeouts(&namespace).unwrap();
    assert!(of_rng(&timeouts, "") > timeouts.len() / 2, "{timeouts:?}");
}

/// "These network policies admit the arrows of the diagram. The graph stays as it is."
// Fails with a field that no policy has, and without the last of them. Which arrows they admit, the
// test target `manifests` compares, as not every cluster enforces them.
#[tokio::test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
async fn k4_network_policies_for_the_arrows_leave_the_speed_as_it_is() {
    let namespace = Namespace::new("k4").unwrap();
    namespace.apply().unwrap();
    namespace.scale(10).unwrap();
    let before = namespace.speed(LONG).await.unwrap();
    assert_ratio(before, RNG);
    namespace
        .sh("kubectl apply -f k8s/network-policies/")
        .unwrap();
    assert_eq!(namespace.get("networkpolicies").unwrap().len(), 5);
    let after = namespace.speed(LONG).await.unwrap();
    assert_ratio(after, before);
}

/// "v0.2 is slower; v0.3 does not exist: the rollout is stuck, but the application is not down."
// Fails when TERM is ignored, and with maxUnavailable: 100%.
#[tokio::test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
async fn k5_a_rollout_slows_down_one_without_an_image_stalls_and_undo_mends_it() {
    let namespace = Namespace::new("k5").unwrap();
    namespace.apply().unwrap();
    // Whoever does not hear TERM stays for five minutes.
    let patch = r#"{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 300}}}}"#;
    namespace
        .sh(&format!("kubectl patch deployment worker -p '{patch}'"))
        .unwrap();
    namespace.scale(10).unwrap();
    assert_ratio(namespace.speed(LONG).await.unwrap(), RNG);

    let set_image = "kubectl set image deployment worker worker=$REGISTRY/worker";
    let finished = "kubectl rollout status deployment worker --timeout=2m";
    namespace
        .sh(&format!("{set_image}:v0.2 && {finished}"))
        .unwrap();
    // The old ones leave at once.
    until(SOON, async || Ok(namespace.running("worker")?.len() == 10))
        .await
        .unwrap();
    // A unit takes 2.2 s, and rng is hardly ever asked by two at a time.
    let slow = 10.0 / 2.2;
    let whole = namespace.speed(LONG).await.unwrap();
    assert_ratio(whole, slow);

    namespace.sh(&format!("{set_image}:v0.3")).unwrap();
    until(SOON, async || {
        let pods = namespace.get("pods -l app=worker")?;
        let pulls = pods.iter().filter(|pod| {
            let waits = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            ["ErrImagePull", "ImagePullBackOff"].contains(&waits["reason"].as_str().unwrap_or(""))
        });
        Ok(pulls.count() > 0)
    })
    .await
    .unwrap();
    let stalled = namespace.speed(LONG).await.unwrap();
    assert_ratio(stalled, whole * 0.8);
    let status = namespace.sh("kubectl rollout status deployment worker --timeout=1s");
    assert!(status.is_err(), "the rollout is over: {status:?}");

    namespace
        .sh(&format!(
            "kubectl rollout undo deployment worker && {finished}"
        ))
        .unwrap();
    let mended = namespace.speed(LONG).await.unwrap();
    assert_ratio(mended, whole);
}

/// That a speed is the expected one, but for what a busy machine takes away.
#[track_caller]
#[expect(
    clippy::print_stdout,
    reason = "the figures are what `--nocapture` is for"
)]
fn assert_ratio(speed: f64, expected: f64) {
    let ratio = speed / expected;
    println!("{speed:.2} hashes/second, {ratio:.3} of {expected:.2}");
    assert!(
        (0.85..1.03).contains(&ratio),
        "{speed:.2} hashes/second, {ratio:.3} of {expected:.2}"
    );
}

/// The only pod of a service, as `pods/<name>`; its container was never started again.
fn only_pod(namespace: &Namespace, service: &str) -> String {
    let pods = namespace.running(service).unwrap();
    assert_eq!(pods.len(), 1, "{pods:?}");
    let restarts = &pods[0]["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(*restarts, 0, "{pods:?}");
    format!("pods/{}", pods[0]["metadata"]["name"].as_str().unwrap())
}

/// Each time that a probe has timed out, as `<deployment>: <probe>`. A server that does not listen yet
/// refuses the connection, which does not count.
fn timeouts(namespace: &Namespace) -> Result<Vec<String>> {
    let events = namespace.get("events --field-selector reason=Unhealthy")?;
    let timeouts = events.iter().filter_map(|event| {
        let pod = event["involvedObject"]["name"].as_str()?;
        let message = event["message"].as_str()?;
        let (probe, reason) = message.split_once(" probe failed: ")?;
        let deployment = pod.split('-').next()?;
        let times = usize::try_from(event["count"].as_u64().unwrap_or(1)).ok()?;
        reason
            .contains("Client.Timeout")
            .then(|| vec![format!("{deployment}: {probe}"); times])
    });
    Ok(timeouts.flatten().collect())
}
