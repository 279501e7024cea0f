//! The real stack, as a trainer has it: built, started, inspected, stopped, removed.
//!
//!     cargo test -p e2e --test compose -- --ignored
//!
//! `COMPOSE=docker-compose` takes Compose 1.29 in place of `docker compose`.

use std::time::Duration;

use e2e::{Project, get, inspect, log, until};

/// A stack that is built does its first work within that on a slow machine.
const SOON: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs a Docker engine, and builds the images"]
fn the_stack_builds_runs_stops_and_leaves_nothing_behind() {
    let project = Project::with_own_images("stack");
    let config = project.compose("config");
    assert!(!config.to_lowercase().contains("warn"), "{config}");
    project.compose("build");
    project.compose("up -d");

    // The counter rises, and the page and its numbers come.
    let webui = project.webui();
    webui.until_hashes(SOON, 4);
    let page = get(&webui.url).unwrap();
    assert!(
        page.contains("<title>DockerCoin Miner WebUI</title>"),
        "{page}"
    );
    let json = webui.json();
    assert!(json["coins"].is_u64(), "{json}");
    assert!(json["hashes"].is_string(), "{json}");
    assert!(json["now"].is_f64(), "{json}");

    // The log is as the workshop shows it, with no failure on the way.
    let log = project.compose("logs --no-color");
    for line in [log::UPDATE, log::RNG_ACCESS, log::HASHER_ACCESS] {
        assert!(log.contains(line), "{log}");
    }
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");

    // Each service is healthy, as a user without privileges who can write nothing.
    let containers = project.list("ps -q");
    assert_eq!(containers.len(), 5);
    let hardened = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}";
    for hardened in inspect(&containers, hardened) {
        let (user, rest) = hardened.split_once(' ').unwrap();
        assert!(["65534:65534", "redis"].contains(&user), "{user}");
        assert_eq!(rest, "true [ALL] [no-new-privileges:true]");
    }
    let health = "{{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}";
    let health = || inspect(&containers, health);
    until(SOON, || health().iter().all(|health| health == "healthy"));

    // Under full load, SIGTERM ends each of them with code 0, long before the engine would kill it.
    project.scale(10);
    project.compose("stop");
    project.assert_exited_with_0(14);

    project.compose("down --volumes");
    for listing in ["ps -aq", "network ls -q", "volume ls -q"] {
        assert!(project.list(listing).is_empty(), "{listing}");
    }
}
