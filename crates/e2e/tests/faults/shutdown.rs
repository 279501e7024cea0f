//! The shutdown: all exit at once, with code 0, after an answer to each request in flight.

use std::{
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use e2e::{BUILT, Project, sh};
use ureq::http::Request;

const WORKERS: usize = 10;
/// The quickest of so many counts.
const ROUNDS: usize = 3;

/// A program that does nothing until TERM ends it. Its health checks succeed.
const EMPTY: &str = r#"
FROM rust:1.95-slim-bookworm AS build
RUN printf '%s\n' '#include <signal.h>' '#include <unistd.h>' 'void end(int signal) { _exit(0); }' \
        'int main(int count, char **arguments) { if (count < 2) signal(SIGTERM, end), pause(); }' | \
    gcc -static -x c -o /empty -
FROM scratch
COPY --from=build /empty /rng
COPY --from=build /empty /hasher
COPY --from=build /empty /webui
ENTRYPOINT ["/rng"]
"#;

#[test]
#[ignore = "needs a Docker engine"]
fn under_full_load_all_exit_with_code_0_about_as_fast_as_empty_programs() {
    let application = Project::new("stop");
    let empty = Project::with_own_images("empty");
    for service in BUILT {
        let image = empty.image(service);
        sh!("docker build --quiet --tag {image} - <<'END'\n{EMPTY}END");
    }
    let (mut floor, mut times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty.compose(&format!("up -d --scale worker={WORKERS}"));
        floor.push(stop(&empty));
        application.scale(WORKERS);
        let webui = application.webui();
        let before = webui.hashes();
        webui.until_hashes(Duration::from_secs(30), before + 30);
        times.push(stop(&application));
    }
    println!("empty programs {floor:.2?}, ours {times:.2?}");
    let (floor, time) = (floor.iter().min().unwrap(), times.iter().min().unwrap());
    let ratio = time.as_secs_f64() / floor.as_secs_f64();
    assert!(ratio < 1.5, "{ratio}");
}

/// How long Compose takes to stop it.
fn stop(project: &Project) -> Duration {
    let start = Instant::now();
    project.compose("stop");
    let time = start.elapsed();
    project.assert_exited_with_0(WORKERS + 4);
    time
}

#[test]
#[ignore = "needs a Docker engine"]
fn requests_in_flight_are_answered_before_the_shutdown() {
    let project = Project::new("in-flight");
    for service in ["rng", "hasher"] {
        project.set(service, "environment: {DELAY: 60s}");
    }
    project.scale(0);
    for (service, method, path, size) in [("rng", "GET", "/32", 32), ("hasher", "POST", "/", 64)] {
        let url = format!("{}{path}", project.url(service));
        let request = Request::builder().method(method).uri(url);
        let request = request.body(()).unwrap();
        let clients = [(); 50].map(|()| {
            let request = request.clone();
            spawn(|| ureq::run(request).unwrap().into_body().read_to_vec())
        });
        sleep(Duration::from_millis(500));
        let start = Instant::now();
        project.compose(&format!("stop {service}"));
        for client in clients {
            assert_eq!(client.join().unwrap().unwrap().len(), size);
        }
        let time = start.elapsed();
        assert!(time < Duration::from_secs(10), "{time:?}");
    }
}
