//! Takes the pictures of the documents, of the application under Compose:
//!
//!     cargo run -p e2e --bin pictures               # all, at the same time, in four minutes
//!     cargo run -p e2e --bin pictures dashboard     # only the animation of the README
#![allow(clippy::unwrap_used)]

mod animation;

use std::{
    env, fs,
    path::Path,
    thread::{scope, sleep},
    time::Duration,
};

use e2e::{Project, browser::Page, root, run};
use tokio::runtime::{Builder, Runtime};

/// The time that the graph shows, in seconds.
const FULL: u64 = 240;
const LAB: (u32, u32) = (800, 400);

/// The path of a picture, its size, and commands, each at its second.
type Picture = (&'static str, (u32, u32), &'static [(u64, &'static str)]);

/// From one worker to ten: a frame every two seconds.
const ANIMATION: &str = ".github/dashboard.png";
const FRAMES: u64 = 30;

const PICTURES: [Picture; 6] = [
    ("docs/pictures/c6.png", LAB, &[]),
    ("docs/pictures/c7.png", LAB, &[(80, TWO), (160, THREE)]),
    ("docs/pictures/c8.png", LAB, &[(80, TEN)]),
    (
        "docs/pictures/c18.png",
        LAB,
        &[
            (60, "docker-compose stop rng"),
            (80, "docker-compose start rng"),
            (150, "docker-compose stop redis"),
            (170, "docker-compose start redis"),
        ],
    ),
    ("docs/pictures/c20.png", LAB, &[(120, SLOWER)]),
    ("docs/pictures/s4.png", LAB, &[(1, TEN), (120, THREE_RNG)]),
];

const TWO: &str = "docker-compose up -d --scale worker=2";
const THREE: &str = "docker-compose up -d --scale worker=3";
const TEN: &str = "docker-compose up -d --scale worker=10";
const THREE_RNG: &str = "docker-compose up -d --scale worker=10 --scale rng=3";
const SLOWER: &str =
    "echo 'services: {worker: {environment: {DELAY: 500ms}}}' >docker-compose.override.yml
     docker-compose up -d worker";

fn main() {
    let names: Vec<_> = env::args().skip(1).collect();
    let paths = PICTURES.map(|(path, ..)| path);
    let all = [&paths[..], &[ANIMATION]].concat();
    for wanted in &names {
        let exists = all.iter().any(|path| name(path) == wanted);
        assert!(exists, "no picture {wanted}: {all:?}");
    }
    let wanted = |path| names.is_empty() || names.iter().any(|wanted| wanted == name(path));
    scope(|scope| {
        if wanted(ANIMATION) {
            scope.spawn(animate);
        }
        for picture in PICTURES.into_iter().filter(|picture| wanted(picture.0)) {
            scope.spawn(move || take(picture));
        }
    });
}

fn name(path: &str) -> &str {
    Path::new(path).file_stem().unwrap().to_str().unwrap()
}

fn take((path, size, commands): Picture) {
    let (project, runtime, page) = open(path, size);
    let mut now = 0;
    for &(second, command) in commands {
        sleep(Duration::from_secs(second - now));
        run(&project.lab(command));
        now = second;
    }
    sleep(Duration::from_secs(FULL - now));
    runtime.block_on(page.until("state() === 'live'"));
    assert_no_outage(path, &runtime, &page);
    runtime.block_on(page.save_picture(&root().join(path)));
}

/// On a busy machine webui answers late, which no picture should show.
fn assert_no_outage(path: &str, runtime: &Runtime, page: &Page) {
    let markers = runtime.block_on(page.text("events"));
    assert!(!markers.contains("webui"), "{path}: webui was unavailable");
}

fn animate() {
    let (project, runtime, page) = open(ANIMATION, LAB);
    sleep(Duration::from_secs(FULL - 2 * FRAMES));
    // On a busy machine, the speed is lower for a while.
    while runtime.block_on(page.text("true")) != "3.3" {
        sleep(Duration::from_secs(1));
    }
    let mut frames = vec![runtime.block_on(page.all_pixels())];
    scope(|scope| {
        scope.spawn(|| run(&project.lab(TEN)));
        for _ in 1..FRAMES {
            sleep(Duration::from_secs(2));
            frames.push(runtime.block_on(page.all_pixels()));
        }
    });
    assert_no_outage(ANIMATION, &runtime, &page);
    let animation = animation::encode(LAB.0, LAB.1, &frames);
    fs::write(root().join(ANIMATION), animation).unwrap();
}

/// The application with one worker, and its page, which the runtime drives.
fn open(path: &str, (width, height): (u32, u32)) -> (Project, Runtime, Page) {
    let project = Project::new(&format!("picture-{}", name(path)));
    project.scale(1);
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let page = runtime.block_on(Page::open(&project.webui().url));
    runtime.block_on(page.resize(width, height));
    (project, runtime, page)
}
