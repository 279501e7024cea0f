//! The end: all at once, with code 0, and nobody is cut off.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::{compose::Project, docker, until};
use reqwest::{Client, Method};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

const WORKERS: usize = 10;

/// The quickest of so many counts.
const ROUNDS: usize = 3;

/// A program that does nothing, and ends when it is told to. Its health checks find it well.
const EMPTY: &str = r#"
FROM rust:1.95-slim-bookworm AS build
RUN printf '%s\n' '#include <signal.h>' '#include <unistd.h>' \
        'static void end(int signal) { _exit(0); }' \
        'int main(int count, char **arguments) {' \
        '    if (count > 1) return 0;' \
        '    signal(SIGTERM, end);' \
        '    for (;;) pause();' \
        '}' | gcc -static -x c -o /empty -
FROM scratch
COPY --from=build /empty /rng
COPY --from=build /empty /hasher
COPY --from=build /empty /webui
ENTRYPOINT ["/rng"]
"#;

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn under_full_load_all_end_with_code_0_about_as_fast_as_empty_programs() {
    let application = Project::new("stop").unwrap();
    let empty = Project::with_images_of_its_own("empty").unwrap();
    for service in ["rng", "hasher", "worker", "webui"] {
        build(EMPTY, &format!("{}/{service}", empty.name())).unwrap();
    }
    let (mut floor, mut times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty.scale(WORKERS).unwrap();
        floor.push(stop(&empty).unwrap());
        application.scale(WORKERS).unwrap();
        let before = application.hashes().await.unwrap();
        until(Duration::from_secs(30), async || {
            Ok(application.hashes().await? > before + 30)
        })
        .await
        .unwrap();
        times.push(stop(&application).unwrap());
    }
    println!("empty programs {floor:.2?}, ours {times:.2?}");
    let (floor, time) = (floor.iter().min().unwrap(), times.iter().min().unwrap());
    let ratio = time.as_secs_f64() / floor.as_secs_f64();
    assert!(ratio < 1.5, "{ratio}");
}

/// How long Compose takes to stop it. Each container has to end with code 0.
fn stop(project: &Project) -> Result<Duration> {
    let start = Instant::now();
    project.compose(&["stop"])?;
    let time = start.elapsed();
    let ids = docker(&["ps", "-aq", "--filter", &project.label()])?;
    let format = "{{.Name}} {{.State.Status}} {{.State.ExitCode}}";
    let ends = docker(
        &[
            &["inspect", "--format", format],
            &ids.lines().collect::<Vec<_>>()[..],
        ]
        .concat(),
    )?;
    ensure!(ends.lines().count() == WORKERS + 4, "{ends}");
    ensure!(ends.lines().all(|end| end.ends_with(" exited 0")), "{ends}");
    Ok(time)
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn who_is_being_served_when_term_comes_has_an_answer() {
    let project = Project::new("served").unwrap();
    for service in ["rng", "hasher"] {
        let old = format!("  {service}:\n");
        let new = format!("{old}    environment: {{DELAY: 60s}}\n");
        project.edit(&old, &new).unwrap();
    }
    project.scale(0).unwrap();
    for (service, method, path, size) in [
        ("rng", Method::GET, "/32", 32),
        ("hasher", Method::POST, "/", 64),
    ] {
        let url = format!("{}{path}", project.url(service).unwrap());
        let mut clients = JoinSet::new();
        for _ in 0..50 {
            clients.spawn(Client::new().request(method.clone(), &url).send());
        }
        sleep(Duration::from_millis(500)).await;
        let start = Instant::now();
        project.compose(&["stop", service]).unwrap();
        for answer in clients.join_all().await {
            let answer = answer.unwrap().error_for_status().unwrap();
            assert_eq!(answer.bytes().await.unwrap().len(), size);
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
    }
}

fn build(dockerfile: &str, image: &str) -> Result<()> {
    let mut build = Command::new("docker")
        .args(["build", "--quiet", "--tag", image, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    build
        .stdin
        .take()
        .context("no input")?
        .write_all(dockerfile.as_bytes())?;
    ensure!(build.wait()?.success(), "cannot build {image}");
    Ok(())
}
