//! The pictures of the documents, taken of the application under Compose:
//!
//!     cargo test -p e2e --test browser -- --ignored pictures:: --test-threads 7

use std::{thread::sleep, time::Duration};

use e2e::{Project, browser::Page, root};

/// What the graph shows, in seconds.
const FULL: u64 = 240;

/// Runs commands, each at its second, and takes a picture when the graph is full.
async fn picture(name: &str, path: &str, size: (u32, u32), commands: &[(u64, &str)]) {
    let project = Project::new(&format!("picture-{name}"));
    project.scale(1);
    let page = Page::open(&project.webui().url).await;
    page.resize(size.0, size.1).await;
    let mut now = 0;
    for (second, command) in commands {
        sleep(Duration::from_secs(second - now));
        e2e::run(project.lab(command));
        now = *second;
    }
    sleep(Duration::from_secs(FULL - now));
    page.until("state() === 'live'").await;
    page.save_picture(&root().join(path)).await;
}

async fn lab(name: &str, commands: &[(u64, &str)]) {
    let path = format!("docs/pictures/{name}.png");
    picture(name, &path, (800, 400), commands).await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn readme() {
    let ten = "docker-compose up -d --scale worker=10";
    picture(
        "readme",
        ".github/dashboard.png",
        (1280, 577),
        &[(120, ten)],
    )
    .await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn c6_one_worker() {
    lab("c6", &[]).await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn c7_two_workers_then_three() {
    let commands = [
        (80, "docker-compose up -d --scale worker=2"),
        (160, "docker-compose up -d --scale worker=3"),
    ];
    lab("c7", &commands).await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn c8_ten_workers() {
    lab("c8", &[(80, "docker-compose up -d --scale worker=10")]).await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn c18_rng_is_stopped_then_redis() {
    let commands = [
        (60, "docker-compose stop rng"),
        (80, "docker-compose start rng"),
        (150, "docker-compose stop redis"),
        (170, "docker-compose start redis"),
    ];
    lab("c18", &commands).await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn c20_a_slower_worker() {
    let slower =
        "echo 'services: {worker: {environment: {DELAY: 500ms}}}' >docker-compose.override.yml
        docker-compose up -d worker";
    lab("c20", &[(120, slower)]).await;
}

#[tokio::test]
#[ignore = "takes four minutes, and needs a Docker engine and a browser"]
async fn s4_more_replicas_of_rng() {
    let commands = [
        (1, "docker-compose up -d --scale worker=10"),
        (120, "docker-compose up -d --scale worker=10 --scale rng=3"),
    ];
    lab("s4", &commands).await;
}
