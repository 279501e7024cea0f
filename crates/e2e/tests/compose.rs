//! The real stack, as a trainer has it: built, started, looked at, scaled, stopped, removed.
//!
//!     cargo test -p e2e --test compose -- --ignored
//!
//! `COMPOSE=docker-compose` takes Compose 1.29 in place of `docker compose`.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{compose::Project, docker, until};

/// A first build on a slow machine is over before that.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs a Docker engine, and builds the images"]
async fn the_stack_builds_runs_scales_stops_and_leaves_nothing_behind() {
    let project = Project::with_images_of_its_own("stack").unwrap();
    let config = project.compose(&["config"]).unwrap();
    assert!(!config.to_lowercase().contains("warn"), "{config}");
    project.compose(&["build"]).unwrap();
    project.compose(&["up", "-d"]).unwrap();

    // The counter rises, and the page and its numbers come.
    until(SOON, async || Ok(project.hashes().await.unwrap_or(0) > 4))
        .await
        .unwrap();
    let page = reqwest::get(project.url("webui").unwrap())
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("<title>DockerCoins</title>"), "{page}");
    let json = project.json().await.unwrap();
    assert!(
        json["coins"].is_u64() && json["hashes"].is_string() && json["now"].is_f64(),
        "{json}"
    );

    // The log is as the workshop shows it, with no failure on the way.
    let log = project.compose(&["logs", "--no-color"]).unwrap();
    assert!(
        log.contains("units of work done, updating hash counter"),
        "{log}"
    );
    assert!(log.contains("\"GET /32 HTTP/1.1\" 200 32 0.1"), "{log}");
    assert!(log.contains("\"POST / HTTP/1.1\" 200 64 0.1"), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");

    // Each service finds itself well, as a user without privileges who can write nothing.
    let containers = project.compose(&["ps", "--quiet"]).unwrap();
    let containers: Vec<_> = containers.lines().collect();
    assert_eq!(containers.len(), 5);
    for container in &containers {
        let hardened = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}";
        let hardened = docker(&["inspect", "--format", hardened, container]).unwrap();
        let (user, rest) = hardened.trim().split_once(' ').unwrap();
        assert!(["65534:65534", "redis"].contains(&user), "{user}");
        assert_eq!(rest, "true [ALL] [no-new-privileges:true]");
        until(SOON, async || {
            let health = "{{if .State.Health}}{{.State.Health.Status}}{{end}}";
            let health = docker(&["inspect", "--format", health, container])?;
            Ok(["", "healthy"].contains(&health.trim()))
        })
        .await
        .unwrap();
    }

    // More workers are faster, until rng is the bottleneck; none do nothing.
    let long = Duration::from_secs(10);
    let one = project.speed(long).await.unwrap();
    project
        .compose(&["up", "-d", "--scale", "worker=10"])
        .unwrap();
    let ten = project.speed(long).await.unwrap();
    assert!(
        (2.0..4.0).contains(&(ten / one)),
        "one worker {one}, ten {ten}"
    );
    project
        .compose(&["up", "-d", "--scale", "worker=0"])
        .unwrap();
    assert!(project.speed(Duration::from_secs(3)).await.unwrap() < 0.1);
    project
        .compose(&["up", "-d", "--scale", "worker=2"])
        .unwrap();
    assert!(project.speed(long).await.unwrap() > one);

    // TERM ends each of them with code 0, long before the engine would kill it.
    project.compose(&["stop"]).unwrap();
    for container in docker(&["ps", "--all", "--quiet", "--filter", &project.label()])
        .unwrap()
        .lines()
    {
        let end = docker(&[
            "inspect",
            "--format",
            "{{.Name}} {{.State.ExitCode}}",
            container,
        ])
        .unwrap();
        assert!(end.trim().ends_with(" 0"), "{end}");
    }

    project.compose(&["down", "--volumes"]).unwrap();
    assert_eq!(project.remains().unwrap(), "");
}
