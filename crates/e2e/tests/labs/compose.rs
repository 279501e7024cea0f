//! The labs on Compose.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use e2e::{
    BUILT, COMPOSE, Project, Running, SERVICES, Webui, browser::Page, get, inspect, lab, log,
    registry, root, run, sh, try_run, until, yaml,
};
use serde_json::Value;

use crate::{LONG, RNG_SPEED, SOON, WORKER_SPEED, both, measure, one_worker, start, ten_workers};

/// How long a stack may take to start or to stop, on a machine that is busy. The engine would have
/// killed a container after ten seconds of it.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// "One command builds all images, starts five services and shows their logs side by side."
// Fails when worker logs nothing.
#[test]
#[ignore = "needs a Docker engine"]
fn c01_up_builds_and_starts_five_services_and_the_log_has_units_of_work_done() {
    // It builds from the builder's cache: the compilation is over when this one begins.
    registry();
    let project = Project::with_own_images("c01");
    let up = Running::start(project.command("up"));
    let after = up.until(START_TIMEOUT, |log| log.contains(log::UPDATE));
    println!("C1: units of work after {after:.1?}");
    up.until(SOON, |log| {
        let names = || log.lines().filter_map(|line| line.split_once('|'));
        let is_shown = |service| names().any(|(name, _)| name.contains(service));
        SERVICES.into_iter().all(is_shown)
    });
    assert_eq!(project.list("ps -q").len(), 5);
}

/// "The Compose file lists all five services. Four of them have a Dockerfile and the source each in
/// a directory of its own, the fifth is an official image."
// Fails when redis is the image of somebody else.
#[test]
#[ignore = "needs Compose"]
fn c02_the_compose_file_builds_four_of_five_services_and_redis_is_the_official_image() {
    let services = services_of_the_compose_file();
    assert_eq!(services.as_object().unwrap().len(), 5, "{services}");
    for service in BUILT {
        let dockerfile = format!("{service}/Dockerfile");
        assert_eq!(services[service]["build"]["dockerfile"], dockerfile);
        assert!(root().join(&dockerfile).is_file());
        assert!(root().join(service).join("src/main.rs").is_file());
    }
    let redis = &services["redis"];
    let image = redis["image"].as_str().unwrap();
    assert!(image.starts_with("redis:"), "{image}");
    assert!(redis["build"].is_null(), "{redis}");
}

/// "We see the worker making requests to rng and hasher: these two show HTTP access logs."
// Fails when hasher has no access log.
#[test]
#[ignore = "needs a Docker engine"]
fn c03_rng_and_hasher_show_access_logs() {
    let project = one_worker();
    for (service, line) in [("rng", log::RNG_ACCESS), ("hasher", log::HASHER_ACCESS)] {
        let log = project.compose(&format!("logs {service}"));
        assert!(log.matches(line).count() >= 3, "{log}");
    }
}

/// "`docker-compose ps` shows where they are published: webui on 8000, rng on 8001, hasher on 8002."
// Fails when rng and hasher have one another's port.
#[test]
#[ignore = "needs a Docker engine"]
fn c04_ps_shows_the_ports_8000_8001_and_8002_published() {
    // The ports themselves may be taken here, by a demo: they are as the file says, and what a
    // project of ours publishes in their place is shown, and is the service that it should be.
    let services = services_of_the_compose_file();
    let project = one_worker();
    let ps = project.compose("ps");
    for (service, port, answer) in [
        ("webui", "8000", "<title>DockerCoins</title>"),
        ("rng", "8001", "RNG running on "),
        ("hasher", "8002", "HASHER running on "),
    ] {
        let ports = services[service]["ports"].to_string();
        assert!(ports.contains(port), "{ports}");
        let url = project.url(service);
        let published = format!("{}->80/tcp", url.trim_start_matches("http://"));
        assert!(ps.contains(&published), "no {published} in {ps}");
        let page = sh!("curl -sL {url}/");
        assert!(page.contains(answer), "{service}: {page}");
    }
    for service in ["worker", "redis"] {
        assert_eq!(services[service]["ports"], Value::Null, "{service}");
    }
}

/// "With `--tail 10 --follow` the last ten lines come first, and then what is logged from now on."
// Fails when worker logs nothing.
#[test]
#[ignore = "needs a Docker engine"]
fn c05_logs_that_are_followed_go_on_showing_units_of_work_done() {
    let logs = Running::start(one_worker().command("logs --tail 10 --follow"));
    // There is one worker, and ten of its lines are from before.
    logs.until(SOON, |log| log.matches(log::UPDATE).count() >= 14);
}

/// "The speed is constant, one hash in 0.3 seconds; but the counter, looked at once a second, moves
/// by 4, by 4, by 4, by 0."
// Fails when the counter is updated after each unit: it then moves by 3, by 3, by 3, by 4.
#[test]
#[ignore = "needs a Docker engine"]
fn c06_one_worker_makes_3_33_hashes_a_second_and_the_counter_moves_by_4_4_4_0() {
    let webui = one_worker().webui();
    let minute = Duration::from_secs(60);
    let sample = || {
        let (speed, moves) = both(|| webui.speed(minute), || moves(&webui, 60));
        (speed / WORKER_SPEED, moves)
    };
    measure("C6, of the limit", sample, |(speed, moves)| {
        let count = |by| moves.iter().filter(|moved| **moved == by).count();
        // Four units take 1.2 s, so one sample in six is too early, and never two in a row. On a
        // machine that is busy, three units may take the second that makes an update.
        (0.9..1.01).contains(speed)
            && count(4) >= 30
            && (7..=14).contains(&count(0))
            && !moves.windows(2).any(|pair| pair == [0, 0])
    });
}

/// "Two workers are twice as fast, and three are three times as fast. They use next to no CPU."
// Fails when worker waits in a busy loop.
#[test]
#[ignore = "needs a Docker engine"]
fn c07_two_workers_double_the_speed_three_treble_it_and_they_use_next_to_no_cpu() {
    let (one, more) = (one_worker(), Project::new("c07"));
    let one = one.webui();
    for (workers, times) in [(2, 1.9..2.1), (3, 2.8..3.1)] {
        more.scale(workers);
        let more = more.webui();
        let sample = || {
            let (one, more) = both(|| one.speed(LONG), || more.speed(LONG));
            (more / one, one / WORKER_SPEED)
        };
        let claim = format!("C7, {workers} workers, times one, which is of the limit");
        measure(&claim, sample, |(more, one)| {
            times.contains(more) && (0.7..1.03).contains(one)
        });
    }
    for worker in more.containers("worker") {
        let stats = "docker stats --no-stream --format '{{.CPUPerc}}'";
        let sample = || sh!("{stats} {worker} | tr -d %").parse().unwrap();
        measure("C7, % of a CPU", sample, |percent: &f64| *percent < 5.0);
    }
}

/// "With ten workers it is ten a second, not thirty-three: something holds them up."
// Fails when rng serves several at a time.
#[test]
#[ignore = "needs a Docker engine"]
fn c08_ten_workers_make_ten_hashes_a_second_and_never_more_on_average() {
    let webui = ten_workers().webui();
    let sample = || {
        let (speed, moves) = both(|| webui.speed(LONG), || moves(&webui, 30));
        (speed / RNG_SPEED, moves.into_iter().max())
    };
    let claim = "C8, of the limit, and the most in a second";
    measure(claim, sample, |(speed, most)| {
        (0.9..1.02).contains(speed) && *most > Some(10)
    });
}

/// "Which one is it? `httping` says: rng takes 700 milliseconds, hasher just a few."
// Fails when rng serves several at a time.
#[test]
#[ignore = "needs a Docker engine and httping"]
fn c09_with_ten_workers_rng_takes_700_ms_and_hasher_a_few() {
    let project = ten_workers();
    let urls = ["rng", "hasher"].map(|service| project.url(service));
    let sample = || [httping(&urls[0], 3), httping(&urls[1], 3)];
    measure("C9, ms at rng and at hasher", sample, |[rng, hasher]| {
        (550.0..950.0).contains(rng) && *hasher < 15.0 && rng / hasher > 20.0
    });
}

/// "Each worker more lets a request to rng wait a tenth of a second longer; from fifteen on it is
/// over a second."
// Fails when rng serves several at a time.
#[test]
#[ignore = "needs a Docker engine and httping"]
fn c10_each_worker_more_adds_100_ms_at_rng_and_15_pass_a_second() {
    let project = Project::new("c10");
    let mut waits = Vec::new();
    for (workers, expected) in [(3, 10.0..200.0), (10, 600.0..1000.0), (15, 1050.0..1500.0)] {
        project.scale(workers);
        let rng = project.url("rng");
        let claim = format!("C10, ms with {workers} workers");
        let sample = || httping(&rng, 6);
        waits.push(measure(&claim, sample, |ms| expected.contains(ms)));
    }
    let each = (waits[2] - waits[0]) / 12.0;
    println!("C10: {each:.0} ms for each more");
    assert!((85.0..115.0).contains(&each), "{waits:?}");
}

/// "Fifty requests, one after the other: a tenth of a second each. Fifty at a time: each is
/// dramatically slower, and all together take as long."
// Fails when rng serves several at a time.
#[test]
#[ignore = "needs a Docker engine and ab"]
fn c11_fifty_requests_at_a_time_get_no_more_out_of_rng_than_one_after_the_other() {
    let project = Project::new("c11");
    let rng = project.up("rng");
    let sample = || [1, 50].map(|clients| ab(&format!("-c {clients} {rng}/10")));
    let claim = "C11, seconds in all, ms each";
    measure(claim, sample, |[(one, each), (fifty, each_of_fifty)]| {
        (100.0..140.0).contains(each)
            && (5.0..7.0).contains(one)
            && each_of_fifty / each > 35.0
            && (0.75..1.2).contains(&(fifty / one))
    });
}

/// "hasher sleeps as long as rng does. Fifty requests one after the other take five seconds, fifty
/// at a time less than one."
// Fails when hasher serves one at a time.
#[test]
#[ignore = "needs a Docker engine and ab"]
fn c12_fifty_hashes_take_five_seconds_one_by_one_and_less_than_one_at_a_time() {
    let project = Project::new("c12");
    let hasher = project.up("hasher");
    let post = format!("-p LICENSE -T application/octet-stream {hasher}/");
    let sample = || [1, 50].map(|clients| ab(&format!("-c {clients} {post}")).0);
    measure("C12, seconds in all", sample, |[one, fifty]| {
        (5.0..7.0).contains(one) && *fifty < 1.0
    });
}

/// "rng/10 gives ten random bytes. `/` answers at once, `/1` sleeps."
// Fails when rng sleeps at `/` too.
#[test]
#[ignore = "needs a Docker engine and curl"]
fn c13_rng_gives_ten_bytes_and_sleeps_for_bytes_alone() {
    let project = Project::new("c13");
    let rng = project.up("rng");
    let ten_bytes = || sh!("curl -s {rng}/10 | od -An -tx1");
    let (these, those) = (ten_bytes(), ten_bytes());
    assert_eq!(these.split_whitespace().count(), 10, "{these}");
    assert_ne!(these, those);
    let curl = "curl -s -o /dev/null -w %{time_total}";
    let sample = || ["/", "/1"].map(|path| sh!("{curl} {rng}{path}").parse::<f64>().unwrap());
    measure("C13, seconds for / and /1", sample, |[index, one_byte]| {
        *index < 0.05 && (0.1..0.15).contains(one_byte)
    });
}

/// "`^C` asks the engine to stop the application: it sends TERM to each container. `down` removes
/// them, and their network."
// Fails when TERM is ignored.
#[test]
#[ignore = "needs a Docker engine"]
fn c14_interrupt_and_stop_send_term_to_every_container_and_down_removes_them() {
    let project = Project::new("c14");
    let assert_that_term_ended_all = || {
        project.assert_exited_with_0(5);
        for service in BUILT {
            let log = project.log(service);
            let last = log.lines().rfind(|line| line.contains(log::SHUTDOWN));
            assert!(last.is_some_and(|line| line.contains(log::TERM)), "{log}");
        }
    };
    let up = Running::start(project.command("up"));
    up.until(START_TIMEOUT, |log| log.contains(log::UPDATE));
    println!("C14: ^C takes {:.1?}", up.interrupt(START_TIMEOUT));
    assert_that_term_ended_all();

    project.scale(1);
    let start = Instant::now();
    project.compose("stop");
    println!("C14: stop takes {:.1?}", start.elapsed());
    assert_that_term_ended_all();

    project.compose("down");
    for listing in ["ps -aq", "network ls -q"] {
        assert!(project.list(listing).is_empty(), "{listing}");
    }
}

/// "Some containers exit immediately. Others take longer: those that do not handle TERM are killed
/// after ten seconds."
// Fails when `IGNORE_SIGTERM` is ignored, and when all ignore TERM.
#[test]
#[ignore = "needs a Docker engine"]
fn c14_a_container_that_ignores_term_is_killed_after_the_grace_period() {
    let project = Project::new("c14-ignored");
    project.set("rng", "environment: {IGNORE_SIGTERM: \"y\"}");
    project.compose("up -d rng hasher");
    let start = Instant::now();
    // The grace period is ten seconds where nothing else is said.
    project.compose("stop -t 3");
    let time = start.elapsed();
    println!("C14: with a grace period of 3 s, which rng uses up, stop takes {time:.1?}");
    assert!(time > Duration::from_secs(3), "{time:?}");
    for (service, state) in [("rng", "exited 137"), ("hasher", "exited 0")] {
        let states = "{{.State.Status}} {{.State.ExitCode}}";
        assert_eq!(inspect(&project.containers(service), states), [state]);
    }
    let log = project.log("rng");
    assert!(log.contains(log::IGNORED), "{log}");
}

/// "Without workers nobody asks for anything, and the graph falls to zero. With one it is back."
// Fails when the probes are in the access log.
#[tokio::test]
#[ignore = "needs a Docker engine and Chromium"]
async fn c15_without_workers_http_goes_quiet_and_the_graph_falls_to_zero() {
    let project = start("c15", 1);
    let page = Page::open(&project.url("webui")).await;
    let moves = "number('instant') > 1 && number('true') > 1";
    page.until(moves).await;

    project.scale(0);
    let requests = || ["rng", "hasher"].map(|service| project.log(service).lines().count());
    let before = requests();
    sleep(Duration::from_secs(3));
    let after = requests();
    assert_eq!(before, after, "somebody still asks");
    page.until("number('instant') === 0 && number('true') === 0")
        .await;

    project.scale(1);
    page.until(moves).await;
    assert!(requests() > after);
}

/// "A new redis knows nothing of the coins that the old one had. The counter begins again, and the
/// graph recovers by itself."
// Fails when worker ends at the first failure.
#[tokio::test]
#[ignore = "needs a Docker engine and Chromium"]
async fn c16_a_new_redis_has_no_coins_and_the_graph_recovers_by_itself() {
    let project = start("c16", 5);
    let page = Page::open(&project.url("webui")).await;
    page.run("window.loaded = 'once'").await;
    page.until("number('hashes') >= 150 && number('coins') >= 5")
        .await;
    let coins = page.number("coins").await;

    project.compose("rm --stop --force redis");
    page.until_state("redis", "redis is away: last known figures")
        .await;
    project.compose("up -d redis");
    let fewer = format!("number('hashes') < 150 && number('coins') < {coins}");
    page.until(&fewer).await;
    page.until("state() === 'live' && number('instant') > 0 && number('true') > 1")
        .await;
    assert_eq!(page.run("return window.loaded").await, "once");
}

/// "Two copies of the application, under two names, do not see one another."
// Fails when the two have one network.
#[test]
#[ignore = "needs a Docker engine"]
fn c17_two_projects_do_not_see_one_another() {
    let (blue, green) = (start("c17-blue", 0), start("c17-green", 2));
    let (blue_webui, green_webui) = (blue.webui(), green.webui());
    until(SOON, || get(&blue_webui.url).is_ok());
    green_webui.until_hashes(SOON, 40);
    assert_eq!(blue_webui.hashes(), 0);
    for service in ["rng", "hasher"] {
        let log = blue.log(service);
        assert!(!log.contains(" HTTP/1.1\""), "green asked blue: {log}");
    }

    // And now the other way round.
    blue.scale(2);
    green.scale(0);
    let (of_blue, of_green) = (blue_webui.hashes(), green_webui.hashes());
    blue_webui.until_hashes(SOON, of_blue + 40);
    assert_eq!(green_webui.hashes(), of_green);
}

/// "Take rng away, or hasher, or redis: the worker complains and tries again, until the name is
/// back."
// Fails when worker ends at the first failure.
#[test]
#[ignore = "needs a Docker engine"]
fn c18_without_rng_hasher_or_redis_the_worker_retries_until_they_are_back() {
    let project = start("c18", 1);
    let worker = project.containers("worker");
    let log = Running::log(&worker[0]);
    for (service, complaint) in [
        ("rng", "cannot get random bytes"),
        ("hasher", "cannot hash bytes"),
        ("redis", "redis"),
    ] {
        let before = log.printed().len();
        project.compose(&format!("stop {service}"));
        log.until(SOON, |log| {
            let mut lines = log[before..].lines();
            lines.any(|line| line.contains("ERROR") && line.contains(complaint))
                && log[before..].matches(log::RETRY[1]).count() >= 2
        });
        project.compose(&format!("start {service}"));
        let after = log.until(SOON, |log| {
            let (_, since) = log[before..].rsplit_once(log::RETRY[1]).unwrap();
            since.matches(log::UPDATE).count() >= 3
        });
        println!("C18: work {after:.1?} after {service} is back");
    }
    let restarts = "{{.RestartCount}} {{.State.Running}}";
    assert_eq!(inspect(&worker, restarts), ["0 true"]);
}

/// "Edit the page and reload: there it is. And on an engine elsewhere, without the volume, there is
/// a page all the same."
// Fails when webui looks for its files elsewhere, and when the program has no copy of them.
#[test]
#[ignore = "needs a Docker engine and curl"]
fn c19_an_edit_of_the_page_shows_at_the_next_reload_and_without_the_volume_it_still_loads() {
    let (original, edited) = ("<h1>DockerCoins</h1>", "<h1>Our coins</h1>");
    let project = Project::new("c19");
    let webui = project.up("webui");
    let page = |webui: &str| sh!("curl -sSfL {webui}/");
    assert!(page(&webui).contains(original));
    project.edit_file("webui/files/index.html", original, edited);
    assert!(page(&webui).contains(edited));

    let volume = "    volumes:\n      - \"./webui/files:/files:ro\"\n";
    project.edit(volume, "");
    let webui = project.up("webui");
    assert!(page(&webui).contains(original));
    for file in fs::read_dir(root().join("webui/files")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        sh!("curl -sSf -o /dev/null {webui}/{name}");
    }
}

/// "Let worker sleep half a second instead of a tenth, in its source or in its environment: the
/// graph goes down."
// Fails when worker sleeps 100 ms whatever it is told.
#[test]
#[ignore = "needs a Docker engine, and builds an image"]
fn c20_a_longer_delay_of_worker_in_source_or_environment_slows_it_accordingly() {
    let by_source = start("c20-source", 1);
    by_source.edit_file("worker/src/config.rs", "\"100ms\"", "\"500ms\"");
    by_source.rebuild("worker");

    let by_environment = start("c20-environment", 1);
    by_environment.set("worker", "environment: {DELAY: 500ms}");
    by_environment.scale(1);

    let (by_source, by_environment) = (by_source.webui(), by_environment.webui());
    // A unit takes 0.7 s instead of 0.3 s.
    let expected = WORKER_SPEED * 0.3 / 0.7;
    let sample = || {
        let speeds = both(|| by_source.speed(LONG), || by_environment.speed(LONG));
        [speeds.0, speeds.1].map(|speed| speed / expected)
    };
    measure("C20, of 3/7 of the usual speed", sample, |speeds| {
        speeds.iter().all(|speed| (0.9..1.03).contains(speed))
    });
}

/// "A container can say whether it is well: the probe runs inside it. Let hasher listen on another
/// port, and it fails."
// Fails when the probe always succeeds.
#[test]
#[ignore = "needs a Docker engine"]
fn c21_the_health_check_of_hasher_works_and_fails_when_it_listens_on_81() {
    let project = Project::new("c21");
    let test = r#"["CMD", "/hasher", "healthcheck", "http://127.0.0.1/healthz"]"#;
    let interval = |seconds| format!("{test}\n      interval: {seconds}s");
    project.edit(&interval(10), &interval(1));
    let probe = |port| {
        let url = format!("http://127.0.0.1:{port}/healthz");
        try_run(project.command(&format!("exec -T hasher /hasher healthcheck {url}")))
    };
    let health = || inspect(&project.containers("hasher"), "{{.State.Health.Status}}");
    project.compose("up -d hasher");
    until(SOON, || health() == ["healthy"]);
    probe(80).unwrap();

    project.set("hasher", "environment: {PORT: \"81\"}");
    project.compose("up -d hasher");
    until(SOON, || health() == ["unhealthy"]);
    let refused = probe(80).unwrap_err();
    assert!(refused.contains("no answer from"), "{refused}");
    probe(81).unwrap();
}

/// "Any container on the application's network, `dockercoins_default`, reaches its services by
/// name."
// Fails when the network has a name of its own.
#[test]
#[ignore = "needs a Docker engine"]
fn c22_a_container_on_the_default_network_reaches_the_services_by_name() {
    let project = start("c22", 1);
    let run = format!("docker run --rm --network {}", project.network());
    let client = project.image("hasher");
    for url in ["http://rng/", "http://hasher/", "http://webui/json"] {
        sh!("{run} {client} healthcheck {url}");
    }
    let hashes = sh!("{run} redis:8-alpine redis-cli -h redis get hashes");
    assert!(hashes.parse::<u64>().unwrap() > 0, "{hashes}");
}

/// "We can build one service by itself, and run it by itself."
// Fails when a Dockerfile needs an argument that Compose gives.
#[test]
#[ignore = "needs a Docker engine"]
fn c23_one_service_can_be_built_and_run_by_itself() {
    // What it compiles is in the builder's cache then.
    registry();
    let project = Project::with_own_images("c23");
    for service in BUILT {
        let image = project.image(service);
        // By the builder that Compose used, unless the environment says otherwise.
        let build = "DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-1} docker build";
        sh!("{build} -f {service}/Dockerfile -t {image} .");
        let version = sh!("docker run --rm {image} --version");
        assert!(version.starts_with(&format!("{service} ")), "{version}");
    }
    let run = format!("docker run -d --label {} -p 127.0.0.1::80", project.label);
    let id = sh!("{run} {}", project.image("rng"));
    let url = format!("http://{}", sh!("docker port {id} 80"));
    until(SOON, || get(&url).is_ok());
    let index = get(&url).unwrap();
    assert!(index.starts_with("RNG running on "), "{index}");
}

/// "This file takes the images from a registry: `$REGISTRY` and `$TAG` say which."
// Fails with a build in the file, with a tag that is ignored, and without webui's port.
#[test]
#[ignore = "needs a Docker engine"]
fn c24_a_file_with_images_from_a_registry_builds_nothing() {
    let project = Project::new("c24");
    for port in ["8000", "8001", "8002"] {
        let (published, any) = (format!("\"{port}:80\""), "\"127.0.0.1::80\"");
        project.edit_file("compose/images.yml", &published, any);
    }
    let [block] = lab::blocks("C24");
    let without_export = block.replace("export REGISTRY=127.0.0.1:5000 TAG=v0.1\n", "");
    let printed = run(project.lab(&without_export)).to_lowercase();
    for complaint in ["build", "warn", "compil"] {
        assert!(!printed.contains(complaint), "{printed}");
    }
    for service in BUILT {
        let images = inspect(&project.containers(service), "{{.Config.Image}}");
        assert_eq!(images, [project.image(service)]);
    }
    let after = project.webui().until_speed(SOON, 0.75 * WORKER_SPEED);
    println!("C24: the speed of one worker after {after:.1?}");
}

/// "A one-line `sed` changes a size: a text in the legend of the graph is bigger."
// Fails when the size is also elsewhere, and when the image has the page that it had.
#[test]
#[ignore = "needs a Docker engine and curl, and builds an image"]
fn c25_a_sed_on_a_size_makes_the_legend_bigger() {
    let project = Project::new("c25");
    // The page is that of the image: an engine that is elsewhere has no volume.
    project.edit("    volumes:\n      - \"./webui/files:/files:ro\"\n", "");
    let legend = |size| format!("<div id=\"legend\" data-size=\"{size}\">");
    let page = |url: &str| sh!("curl -sSfL {url}/");
    let before = project.up("webui");
    assert!(page(&before).contains(&legend("15px")));
    project.own_image("webui");
    let [edit, _] = lab::blocks("C25");
    run(project.lab(&edit));
    let after = project.up("webui");
    assert!(page(&after).contains(&legend("50px")));
}

/// "Compose watches the source: save a file, and it is deployed."
// Fails without the path of worker.
#[test]
#[ignore = "needs a Docker engine, Compose 2.24 and curl, and builds an image"]
fn watch_rebuilds_a_service_whose_source_changes() {
    if sh!("{COMPOSE} version").contains(" 1.") {
        println!("Compose 1 does not watch");
        return;
    }
    let project = Project::new("watch");
    project.own_image("worker");
    let [watch, edit] = lab::blocks("Watch");
    let watching = Running::start(project.lab(&format!("exec {watch}")));
    watching.until(START_TIMEOUT, |printed| printed.contains("atch enabled"));
    let webui = project.webui();
    webui.until_speed(SOON, 0.9 * WORKER_SPEED);

    run(project.lab(&edit));
    let page = || sh!("curl -sSfL {}/", webui.url);
    let after = until(SOON, || page().contains("<h1>Our coins</h1>"));
    println!("Watch: the page after {after:.1?}");
    // A unit takes 0.7 s instead of 0.3 s.
    let expected = WORKER_SPEED * 0.3 / 0.7;
    let is_slower = || (0.7..1.2).contains(&(webui.speed(Duration::from_secs(6)) / expected));
    let after = until(Duration::from_secs(240), is_slower);
    println!("Watch: the worker after {after:.1?}");
}

/// The services of the repository's own file, as Compose reads it.
fn services_of_the_compose_file() -> Value {
    let config = sh!("{COMPOSE} config");
    yaml::parse(&config).remove(0)["services"].take()
}

/// By how much the counter moves from one second to the next, so many times.
fn moves(webui: &Webui, seconds: u32) -> Vec<u64> {
    let start = Instant::now();
    let sample = |second| {
        sleep((start + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
        webui.hashes()
    };
    let hashes: Vec<_> = (0..=seconds.into()).map(sample).collect();
    hashes.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// The milliseconds that a round trip takes, on average.
fn httping(url: &str, count: usize) -> f64 {
    let mean = "awk -F/ '/^round-trip min/ { print $4 }'";
    sh!("httping -c {count} {url} | {mean}").parse().unwrap()
}

/// The seconds that fifty requests took together, and the milliseconds that each took.
fn ab(arguments: &str) -> (f64, f64) {
    let printed = sh!("ab -n 50 {arguments}");
    let value = |name| {
        let value = printed.lines().find_map(|line| line.strip_prefix(name));
        let value = value.and_then(|value| value.split_whitespace().next());
        value.unwrap().parse().unwrap()
    };
    let requests = (value("Complete requests:"), value("Failed requests:"));
    assert_eq!(requests, (50.0, 0.0), "{printed}");
    (value("Time taken for tests:"), value("Time per request:"))
}
