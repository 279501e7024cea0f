//! Takes the pictures of the documents, of the application under Compose:
//!
//!     cargo run -p e2e --bin pictures          # all, at the same time, in four minutes
//!     cargo run -p e2e --bin pictures c6 s4    # these
#![allow(clippy::unwrap_used)]

use std::{
    env,
    path::Path,
    thread::{scope, sleep},
    time::Duration,
};

use e2e::{Project, browser::Page, root, run};
use tokio::runtime::Builder;

struct Picture {
    path: &'static str,
    size: (u32, u32),
    /// Commands, each at its second.
    commands: &'static [(u64, &'static str)],
}

/// The time that the graph shows, in seconds.
const FULL: u64 = 240;
const LAB: (u32, u32) = (800, 400);
const TEN_WORKERS: &str = "docker-compose up -d --scale worker=10";

const PICTURES: [Picture; 7] = [
    Picture {
        path: ".github/dashboard.png",
        size: (1280, 577),
        commands: &[(120, TEN_WORKERS)],
    },
    Picture {
        path: "docs/pictures/c6.png",
        size: LAB,
        commands: &[],
    },
    Picture {
        path: "docs/pictures/c7.png",
        size: LAB,
        commands: &[
            (80, "docker-compose up -d --scale worker=2"),
            (160, "docker-compose up -d --scale worker=3"),
        ],
    },
    Picture {
        path: "docs/pictures/c8.png",
        size: LAB,
        commands: &[(80, TEN_WORKERS)],
    },
    Picture {
        path: "docs/pictures/c18.png",
        size: LAB,
        commands: &[
            (60, "docker-compose stop rng"),
            (80, "docker-compose start rng"),
            (150, "docker-compose stop redis"),
            (170, "docker-compose start redis"),
        ],
    },
    Picture {
        path: "docs/pictures/c20.png",
        size: LAB,
        commands: &[(
            120,
            "echo 'services: {worker: {environment: {DELAY: 500ms}}}' >docker-compose.override.yml
             docker-compose up -d worker",
        )],
    },
    Picture {
        path: "docs/pictures/s4.png",
        size: LAB,
        commands: &[
            (1, TEN_WORKERS),
            (120, "docker-compose up -d --scale worker=10 --scale rng=3"),
        ],
    },
];

impl Picture {
    fn name(&self) -> &'static str {
        Path::new(self.path).file_stem().unwrap().to_str().unwrap()
    }

    fn take(&self) {
        let project = Project::new(&format!("picture-{}", self.name()));
        project.scale(1);
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let page = runtime.block_on(Page::open(&project.webui().url));
        let (width, height) = self.size;
        runtime.block_on(page.resize(width, height));
        let mut now = 0;
        for &(second, command) in self.commands {
            sleep(Duration::from_secs(second - now));
            run(project.lab(command));
            now = second;
        }
        sleep(Duration::from_secs(FULL - now));
        runtime.block_on(page.until("state() === 'live'"));
        runtime.block_on(page.save_picture(&root().join(self.path)));
    }
}

fn main() {
    let names: Vec<_> = env::args().skip(1).collect();
    for name in &names {
        let known = PICTURES.iter().any(|picture| picture.name() == name);
        assert!(known, "no picture {name}");
    }
    scope(|scope| {
        for picture in &PICTURES {
            if names.is_empty() || names.iter().any(|name| name == picture.name()) {
                scope.spawn(|| picture.take());
            }
        }
    });
}
