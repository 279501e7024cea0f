//! The labs on Swarm: on a swarm of one node, which a test makes if there is none, and then leaves
//! unless other containers run: they would lose their names.
//!
//! No registry is needed: the images are built here and deployed with `--resolve-image never`. The
//! names of the services lead to virtual IPs, as a class has it. Those need IPVS: where the kernel
//! has none, the stack is deployed with `endpoint_mode: dnsrr`, and the tests say so.

// The figures.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use e2e::{
    swarm::{SERVICES, Stack},
    until,
};
use tokio::time::{Instant, sleep};

/// What one rng serves a second, however many ask.
const LIMIT: f64 = 10.0;

/// An update of a service is over before that on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Long enough to see a speed that is not claimed to the percent.
const MOMENT: Duration = Duration::from_secs(8);

/// "Deploy it with `docker stack deploy`: one rng a node, ten workers, ten hashes a second; the page
/// is on port 8000 of any node."
// Fails with an rng that serves many at a time: 28 hashes a second.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn s1_the_stack_file_deploys_with_ten_workers_that_make_ten_hashes_a_second() {
    let stack = deploy("s1", &[]).await;
    let mode = "{{if .Spec.Mode.Global}}global{{else}}{{.Spec.Mode.Replicated.Replicas}}{{end}}";
    for (service, replicas) in [("rng", "global"), ("worker", "10"), ("webui", "1")] {
        assert_eq!(stack.inspect(service, mode).unwrap(), replicas, "{service}");
    }
    let page = reqwest::get(stack.url().unwrap()).await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("<title>DockerCoins</title>"), "{page}");

    // Hardened as under Compose.
    let hardened = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}";
    for service in SERVICES {
        let user = if service == "redis" {
            "redis"
        } else {
            "65534:65534"
        };
        for container in stack.inspect_containers(service, hardened).unwrap() {
            assert_eq!(container, format!("{user} true [ALL]"), "{service}");
        }
    }

    let speed = stack.speed(Duration::from_secs(30)).await.unwrap();
    println!("ten workers: {speed:.2} hashes/s");
    assert!((0.8..1.05).contains(&(speed / LIMIT)), "{speed}");
}

/// "Update worker to a slower one and watch the graph step down, task by task. Roll back, and it
/// comes up again."
// Fails with a worker that ignores DELAY, and with `parallelism: 0`: all tasks at once.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn s2_a_rolling_update_of_worker_slows_the_graph_task_by_task_and_a_rollback_brings_it_up() {
    // With one rng, ten workers would wait for it, and only the last steps would show.
    let stack = deploy("s2", &[("RNG_MODE", "replicated")]).await;
    stack.scale("rng", 6).await.unwrap();
    let before = stack.speed(MOMENT).await.unwrap();

    stack.update("worker", &["--env-add", "DELAY=2s"]).unwrap();
    let steps = watch_the_update(&stack).await;
    let after = stack.speed(MOMENT).await.unwrap();
    println!("before {before:.2}, then {steps:.2?}, then {after:.2}");
    // Ten workers that take 2.2 s for a unit.
    assert!((0.75..1.1).contains(&(after / (10.0 / 2.2))), "{after}");
    let speeds = [&[before][..], &steps, &[after]].concat();
    assert!(
        speeds.windows(2).all(|two| two[1] < two[0]) && steps[1] < 0.8 * before,
        "{speeds:?}"
    );

    stack.roll_back("worker").unwrap();
    until(PATIENCE, async || {
        Ok(stack.update_state("worker")? == "rollback_completed")
    })
    .await
    .unwrap();
    let rolled_back = stack.speed(MOMENT).await.unwrap();
    println!("rolled back: {rolled_back:.2}");
    assert!(rolled_back / before > 0.6, "{rolled_back}");
}

/// The speed of the application while `worker` is updated to DELAY=2s: while one to three of its
/// ten tasks are slow, four to six, seven to nine.
async fn watch_the_update(stack: &Stack) -> [f64; 3] {
    let mut steps = [(0.0, 0.0); 3];
    let start = Instant::now();
    let (mut then, mut before) = (start, stack.hashes().await.unwrap());
    loop {
        let slow = stack
            .inspect_containers("worker", "{{.Config.Env}}")
            .unwrap_or_default()
            .iter()
            .filter(|env| env.contains("DELAY=2s"))
            .count();
        sleep(Duration::from_millis(500)).await;
        let (now, hashes) = (Instant::now(), stack.hashes().await.unwrap());
        if let 1..=9 = slow {
            let (seconds, made) = &mut steps[(slow - 1) / 3];
            *seconds += (now - then).as_secs_f64();
            *made += f64::from(u32::try_from(hashes - before).unwrap());
        }
        (then, before) = (now, hashes);
        let state = stack.update_state("worker").unwrap();
        assert!(start.elapsed() < PATIENCE, "{state}");
        if state == "completed" {
            return steps.map(|(seconds, made)| made / seconds);
        }
    }
}

/// "Break hasher with an update: its health check fails, and Swarm rolls it back by itself."
// Fails without the health check, with `failure_action: pause`, and with `order: stop-first`.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn s3_an_update_of_hasher_that_fails_its_health_check_is_rolled_back_by_itself() {
    let stack = deploy("s3", &[]).await;
    let hasher = stack.containers("hasher").unwrap();
    let (start, before) = (Instant::now(), stack.hashes().await.unwrap());

    stack.update("hasher", &["--env-add", "PORT=81"]).unwrap();
    until(PATIENCE, async || {
        let state = stack.update_state("hasher")?;
        assert!(
            !["completed", "paused"].contains(&state.as_str()),
            "{state}"
        );
        Ok(state == "rollback_completed")
    })
    .await
    .unwrap();

    // The one that works was never away.
    let hashes = u32::try_from(stack.hashes().await.unwrap() - before).unwrap();
    let speed = f64::from(hashes) / start.elapsed().as_secs_f64();
    println!(
        "rolled back after {:?}: {speed:.2} hashes/s meanwhile",
        start.elapsed()
    );
    assert!(speed / LIMIT > 0.5, "{speed}");
    assert_eq!(stack.containers("hasher").unwrap(), hasher);
}

/// "Scale rng: the speed goes above ten, and nobody touched the workers."
// Fails with a worker that looks up the name of rng once.
#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn s4_more_replicas_of_rng_lift_the_speed_above_ten_with_no_worker_restarted() {
    let stack = deploy("s4", &[("RNG_MODE", "replicated")]).await;
    let started = || {
        let mut workers = stack
            .inspect_containers("worker", "{{.Id}} {{.State.StartedAt}}")
            .unwrap();
        workers.sort();
        workers
    };
    let workers = started();
    assert_eq!(workers.len(), 10);
    let one = stack.speed(Duration::from_secs(15)).await.unwrap();

    stack.scale("rng", 3).await.unwrap();
    let three = stack.speed(Duration::from_secs(15)).await.unwrap();
    println!("one rng: {one:.2} hashes/s, three: {three:.2}");
    assert!(one / LIMIT < 1.1, "{one}");
    assert!(three / one > 1.5, "one rng {one}, three {three}");
    assert_eq!(started(), workers);
}

/// A stack at full speed: all workers have found all services.
async fn deploy(name: &str, variables: &[(&str, &str)]) -> Stack {
    let stack = Stack::deploy(name, variables).await.unwrap();
    if !stack.virtual_ips() {
        println!("{name}: virtual IPs do not answer here, so with endpoint_mode: dnsrr");
    }
    until(PATIENCE, async || {
        Ok(stack.speed(Duration::from_secs(3)).await? > 0.75 * LIMIT)
    })
    .await
    .unwrap();
    stack
}
