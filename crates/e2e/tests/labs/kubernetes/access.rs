//! Who reaches what, and with what limits.

use std::{thread::sleep, time::Duration};

use e2e::{Namespace, SERVICES, browser::Page, lab, until};
use serde_json::json;

use super::{SOON, assert_speed, start};
use crate::RNG_SPEED;

/// "`kubectl proxy`, and the page is below a long path; `kubectl port-forward`, and redis is here."
// Fails when the page asks for /json.
#[tokio::test]
#[ignore = "needs a Kubernetes cluster and Chromium, and builds the images"]
async fn k12_the_page_works_below_the_path_of_the_api_server_and_redis_can_be_forwarded() {
    let namespace = start("k12", 1);
    // The API server serves them where the block says, but for the port and the namespace.
    let url = namespace.url("services/webui");
    let page = Page::open(&format!("{url}/index.html")).await;
    page.until_state("live", "Live").await;
    page.until("number('instant') > 0 && stretches('area') >= 1")
        .await;
    let [_, forward] = lab::blocks("K12");
    let printed = namespace.sh(&forward);
    assert!(printed.contains("redis_version:"), "{printed}");
}

/// "The same manifests in two namespaces are two applications."
// Fails when worker looks up `rng.<the first namespace>`, by RNG_URL.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k13_two_namespaces_do_not_see_one_another() {
    let (blue, green) = (Namespace::new("k13-blue"), Namespace::new("k13-green"));
    let [apply, _] = lab::blocks("K13");
    let apply = apply
        .replace("kubectl create namespace $color", ":")
        .replace("blue green", &format!("{} {}", blue.name, green.name))
        .replace("-n green", &format!("-n {}", green.name));
    blue.sh(&apply);
    for namespace in [&blue, &green] {
        namespace.sh("kubectl wait --for=condition=Available --timeout=2m deployment --all");
    }
    until(SOON, || green.running("worker").is_empty());
    let (moves, stands_still) = (blue.webui(), green.webui());
    moves.until_hashes(SOON, 4);
    let (before, hashes) = (moves.hashes(), stands_still.hashes());
    moves.until_hashes(SOON, before + 20);
    assert_eq!(stands_still.hashes(), hashes);
}

/// "Deny what comes from other namespaces, allow webui: the application works as before."
// Fails with a field that no policy has. What they admit, the test target `manifests` checks, as not
// every cluster enforces them.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k14_policies_for_a_namespace_leave_the_speed_as_it_is() {
    let namespace = start("k14", 10);
    let [apply, _, delete] = lab::blocks("K14");
    namespace.sh(&apply);
    assert_eq!(namespace.get("networkpolicies").len(), 2);
    assert_speed(&namespace.webui(), RNG_SPEED);
    namespace.sh(&delete);
    assert!(namespace.get("networkpolicies").is_empty());
}

/// "50m of a CPU for worker, and limits for the memory of all: nothing is killed, nothing is slower."
// Fails when worker waits in a busy loop.
#[test]
#[ignore = "needs a Kubernetes cluster, and builds the images"]
fn k23_limits_kill_nothing_and_slow_nothing() {
    let namespace = start("k23", 1);
    let [limit] = lab::blocks("K23");
    namespace.sh(&limit);
    sleep(Duration::from_secs(5));
    assert_speed(&namespace.webui(), RNG_SPEED);
    for service in SERVICES {
        for pod in namespace.running(service) {
            let status = &pod["status"]["containerStatuses"][0];
            assert_eq!(status["restartCount"], 0, "{pod}");
            assert_eq!(status["lastState"], json!({}), "{pod}");
            let limits = &pod["spec"]["containers"][0]["resources"]["limits"];
            assert!(limits["memory"].is_string(), "{pod}");
            assert_eq!(limits["cpu"] == "50m", service == "worker", "{pod}");
        }
    }
}
