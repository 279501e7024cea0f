//! The labs on Swarm: on a swarm of one node, which a test makes if there is none, and then leaves
//! unless other containers run: they would lose their names.
//!
//! The names of the services lead to virtual IPs, as in a class. Those need IPVS: where the kernel
//! has none, the stack is deployed with `endpoint_mode: dnsrr`, and the tests say so.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use e2e::{Running, SERVICES, Stack, VIRTUAL_IPS, get, inspect, lab, run, sh, until};

use crate::{LONG, RNG_SPEED};

/// An update of a service is over within that on a slow machine.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(120);
/// Long enough to see a speed that is not claimed to the percent.
const SHORT: Duration = Duration::from_secs(8);

/// "Deploy it with `docker stack deploy`: one rng a node, ten workers, ten hashes a second; the page
/// is on port 8000 of any node."
// Fails with an rng that serves many at a time: 28 hashes a second.
#[test]
#[ignore = "needs a Docker engine"]
fn s1_the_stack_file_deploys_with_ten_workers_that_make_ten_hashes_a_second() {
    let stack = deploy("s1", "");
    let mode = "{{if .Spec.Mode.Global}}global{{else}}{{.Spec.Mode.Replicated.Replicas}}{{end}}";
    for (service, replicas) in [("rng", "global"), ("worker", "10"), ("webui", "1")] {
        assert_eq!(stack.inspect(service, mode), replicas, "{service}");
    }
    let webui = stack.webui();
    let page = get(&webui.url).unwrap();
    assert!(page.contains("<title>DockerCoins</title>"), "{page}");

    // Hardened as under Compose.
    let hardened = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}";
    for service in SERVICES {
        for hardened in inspect(&stack.containers(service), hardened) {
            let (user, rest) = hardened.split_once(' ').unwrap();
            let is_redis = service == "redis";
            assert_eq!(user, if is_redis { "redis" } else { "65534:65534" });
            assert_eq!(rest, "true [ALL]", "{service}");
        }
    }

    let speed = webui.speed(LONG);
    println!("ten workers: {speed:.2} hashes/s");
    assert!((0.8..1.05).contains(&(speed / RNG_SPEED)), "{speed}");
}

/// "Update worker to a slower one and watch the graph step down, task by task. Roll back, and it
/// comes up again."
// Fails with a worker that ignores DELAY, and with `parallelism: 0`: all tasks at once.
#[test]
#[ignore = "needs a Docker engine"]
fn s2_a_rolling_update_of_worker_slows_the_graph_task_by_task_and_a_rollback_brings_it_up() {
    // With one rng, ten workers would wait for it, and only the last steps would show.
    let stack = deploy("s2", "RNG_MODE=replicated");
    stack.scale("rng", 6);
    let webui = stack.webui();
    let before = webui.speed(SHORT);

    stack.update("worker", "--env-add DELAY=2s");
    let steps = speeds_during_the_update(&stack);
    let after = webui.speed(SHORT);
    println!("before {before:.2}, then {steps:.2?}, then {after:.2}");
    // Ten workers that take 2.2 s for a unit.
    assert!((0.75..1.1).contains(&(after / (10.0 / 2.2))), "{after}");
    let speeds = [&[before][..], &steps, &[after]].concat();
    let falls = speeds.windows(2).all(|two| two[1] < two[0]);
    assert!(falls && steps[1] < 0.8 * before, "{speeds:?}");

    let worker = stack.service("worker");
    sh!("docker service rollback --detach {worker}");
    let state = || stack.update_state("worker");
    until(UPDATE_TIMEOUT, || state() == "rollback_completed");
    let rolled_back = webui.speed(SHORT);
    println!("rolled back: {rolled_back:.2}");
    assert!(rolled_back / before > 0.6, "{rolled_back}");
}

/// The speed while `worker` is updated to DELAY=2s: while one to three of its ten tasks are slow,
/// four to six, seven to nine.
fn speeds_during_the_update(stack: &Stack) -> [f64; 3] {
    let (webui, env) = (stack.webui(), "--format '{{.Config.Env}}'");
    let slow = || {
        let containers = stack.containers("worker").join(" ");
        // One of them may be gone meanwhile.
        let variables = sh!("docker inspect {env} {containers} || true");
        variables.matches("DELAY=2s").count()
    };
    let [one, four, seven, ten] = [1, 4, 7, 10].map(|tasks| {
        until(UPDATE_TIMEOUT, || slow() >= tasks);
        (Instant::now(), webui.hashes())
    });
    until(UPDATE_TIMEOUT, || {
        stack.update_state("worker") == "completed"
    });
    [(one, four), (four, seven), (seven, ten)].map(|((start, before), (end, after))| {
        f64::from(u32::try_from(after - before).unwrap()) / (end - start).as_secs_f64()
    })
}

/// "Break hasher with an update: its health check fails, and Swarm rolls it back by itself."
// Fails without the health check, with `failure_action: pause`, and with `order: stop-first`.
#[test]
#[ignore = "needs a Docker engine"]
fn s3_an_update_of_hasher_that_fails_its_health_check_is_rolled_back_by_itself() {
    let stack = deploy("s3", "");
    let (webui, hasher) = (stack.webui(), stack.containers("hasher"));
    let (start, before) = (Instant::now(), webui.hashes());

    stack.update("hasher", "--env-add PORT=81");
    until(UPDATE_TIMEOUT, || {
        let state = stack.update_state("hasher");
        assert!(!["completed", "paused"].contains(&&*state), "{state}");
        state == "rollback_completed"
    });

    // The healthy task was never replaced.
    let hashes = u32::try_from(webui.hashes() - before).unwrap();
    let time = start.elapsed();
    let speed = f64::from(hashes) / time.as_secs_f64();
    println!("rolled back after {time:?}: {speed:.2} hashes/s meanwhile");
    assert!(speed / RNG_SPEED > 0.5, "{speed}");
    assert_eq!(stack.containers("hasher"), hasher);
}

/// "Scale rng: the speed goes above ten, and nobody touched the workers."
// Fails with a worker that looks up the name of rng once.
#[test]
#[ignore = "needs a Docker engine"]
fn s4_more_replicas_of_rng_lift_the_speed_above_ten_with_no_worker_restarted() {
    let stack = deploy("s4", "RNG_MODE=replicated");
    let started = || {
        let started = "{{.Id}} {{.State.StartedAt}}";
        let mut workers = inspect(&stack.containers("worker"), started);
        workers.sort();
        workers
    };
    let (webui, workers) = (stack.webui(), started());
    assert_eq!(workers.len(), 10);
    let one = webui.speed(Duration::from_secs(15));

    stack.scale("rng", 3);
    let three = webui.speed(Duration::from_secs(15));
    println!("one rng: {one:.2} hashes/s, three: {three:.2}");
    assert!(one / RNG_SPEED < 1.1, "{one}");
    assert!(three / one > 1.5, "one rng {one}, three {three}");
    assert_eq!(started(), workers);
}

/// "Seven hashers, updated one by one, then two by two; then roll back an update of webui."
// Fails with `parallelism: 2` in the stack file, and without `order: start-first`.
#[test]
#[ignore = "needs a Docker engine"]
fn s5_an_update_replaces_as_many_tasks_at_a_time_as_it_is_told() {
    let stack = deploy("s5", "");
    let [hasher, rollback] = lab::blocks("S5");
    let lines: Vec<_> = hasher.lines().collect();
    let &[scale, one_by_one, parallelism, two_by_two] = &lines[..] else {
        panic!("{hasher}");
    };
    run(stack.lab(scale));
    for (before, update, at_a_time) in [("", one_by_one, 1), (parallelism, two_by_two, 2)] {
        run(stack.lab(before));
        let old = stack.containers("hasher");
        assert_eq!(old.len(), 7);
        let (start, hashes) = (Instant::now(), stack.webui().hashes());
        // A new task is not healthy for two seconds.
        let name = stack.service("hasher");
        let label = format!("label=com.docker.swarm.service.name={name}");
        let mut most = 0;
        let update = Running::start(stack.lab(&format!("exec {update}")));
        until(UPDATE_TIMEOUT, || {
            let starting = sh!("docker ps -q --filter {label} --filter health=starting | wc -l");
            most = starting.parse().unwrap_or(0).max(most);
            update.printed().contains("converged")
        });
        let made = f64::from(u32::try_from(stack.webui().hashes() - hashes).unwrap());
        let speed = made / start.elapsed().as_secs_f64();
        println!("at most {most} at a time, {speed:.2} hashes/s meanwhile");
        assert_eq!(most, at_a_time);
        assert!(speed / RNG_SPEED > 0.5, "{speed}");
        let new = stack.containers("hasher");
        assert_eq!(new.len(), 7);
        assert!(
            !new.iter().any(|id| old.contains(id)),
            "{old:?}, then {new:?}"
        );
    }

    let env = || stack.inspect("webui", "{{.Spec.TaskTemplate.ContainerSpec.Env}}");
    let before = env();
    run(stack.lab(&rollback));
    assert_eq!(stack.update_state("webui"), "rollback_completed");
    assert_eq!(env(), before);
    stack.webui().until_hashes(UPDATE_TIMEOUT, 0);
}

/// "A service on the same network resolves `rng` and `tasks.rng`. Without workers, nobody asks for
/// anything but health."
// Fails when the stack has no network of its own, and when the health checks are logged.
#[test]
#[ignore = "needs a Docker engine"]
fn s6_names_resolve_on_the_network_and_without_workers_it_is_quiet() {
    let stack = deploy("s6", "");
    let [look, restore] = lab::blocks("S6");
    let create = "docker service create ";
    let label = format!(
        "{create}--no-resolve-image --label {}={} ",
        Stack::LABEL,
        stack.name
    );
    let printed = run(stack.lab(&look.replace(create, &label)));
    for name in ["rng", "tasks.rng"] {
        let mut lines = printed.lines();
        let resolved = lines.any(|line| line.split_whitespace().nth(1) == Some(name));
        assert!(resolved, "{name}: {printed}");
    }
    until(UPDATE_TIMEOUT, || stack.containers("worker").is_empty());
    let lines = || ["rng", "hasher"].map(|service| logged(&stack, service));
    let before = lines();
    sleep(Duration::from_secs(5));
    assert_eq!(lines(), before, "somebody still asks");

    run(stack.lab(&restore));
    stack.webui().until_speed(UPDATE_TIMEOUT, 0.75 * RNG_SPEED);
    assert!(lines() > before);
}

/// How many lines the containers of a service have logged.
fn logged(stack: &Stack, service: &str) -> usize {
    let containers = stack.containers(service).join(" ");
    sh!("for id in {containers}; do docker logs $id; done")
        .lines()
        .count()
}

/// "`docker service create` by hand, five times, on one network: it works, and peaks at ten."
// Fails when worker looks up `rng.dockercoins`, by RNG_URL.
#[test]
#[ignore = "needs a Docker engine"]
fn s7_five_services_by_hand_make_ten_hashes_a_second() {
    let [create, _] = lab::blocks("S7");
    let stack = Stack::create("s7", &create);
    let webui = stack.webui();
    webui.until_speed(UPDATE_TIMEOUT, 0.75 * RNG_SPEED);
    let speed = webui.speed(Duration::from_secs(15));
    println!("ten workers: {speed:.2} hashes/s");
    assert!((0.8..1.05).contains(&(speed / RNG_SPEED)), "{speed}");
}

/// A stack at full speed: all workers have found all services.
fn deploy(name: &str, variables: &str) -> Stack {
    let stack = Stack::deploy(name, variables);
    if !*VIRTUAL_IPS {
        println!("{name}: virtual IPs do not answer here, so with endpoint_mode: dnsrr");
    }
    stack.webui().until_speed(UPDATE_TIMEOUT, 0.75 * RNG_SPEED);
    stack
}
