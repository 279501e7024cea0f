//! How long the images take to build: cold, and after an edit of one service.
//!
//! Cold means that nothing of ours is in a cache: the base image is there, and the crates are
//! downloaded. No cache of the user is emptied for that; the manifest of a copy is changed.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;

use crate::{Bench, cleanup::Cleanup, command::run, figure::Figure, progress, stack::root};

const COMPILATION: &str = "compilation alone";

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let rounds = bench.effort.rounds;
    let copy = Copy::new()?;
    let mut compilation = Vec::new();
    for _ in 0..rounds {
        compilation.push(copy.compile()?);
    }
    let mut figures = vec![Figure::new(COMPILATION, "s", compilation.clone())];
    for builder in [Builder::BuildKit, Builder::Classic] {
        let Some(compose) = builder.compose() else {
            progress("build: left out the classic builder, since there is no docker-compose");
            continue;
        };
        let (mut cold, mut edited) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            copy.make_cold()?;
            cold.push(copy.build(compose, builder)?);
            copy.edit()?;
            edited.push(copy.build(compose, builder)?);
        }
        let name = format!("{builder:?}, cold");
        figures.push(Figure::new(name, "s", cold).limit(COMPILATION, compilation.clone()));
        figures.push(Figure::new(
            format!("{builder:?}, after an edit of rng"),
            "s",
            edited,
        ));
    }
    Ok(figures)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Builder {
    BuildKit,
    /// The builder of `docker-compose` 1.29.
    Classic,
}

impl Builder {
    /// The command that builds with it.
    fn compose(self) -> Option<&'static [&'static str]> {
        match self {
            Self::BuildKit => Some(&["docker", "compose"]),
            Self::Classic => {
                let present = Command::new("docker-compose")
                    .arg("version")
                    .output()
                    .is_ok();
                present.then_some(&["docker-compose"])
            }
        }
    }
}

/// A copy of the repository. Its images, and the copy, are removed when this is dropped.
struct Copy {
    directory: PathBuf,
    _cleanup: Cleanup,
}

impl Copy {
    fn new() -> Result<Self> {
        // The name of the directory is that of the project, and the beginning of those of its images.
        let name = format!("dockercoins-bench-{}-build", process::id());
        let directory = env::temp_dir().join(&name);
        let cleanup = Cleanup::new(&format!(
            "docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' '{name}*' | xargs -r docker rmi
             rm -r '{}'",
            directory.display()
        ))?;
        fs::create_dir_all(&directory)?;
        run(Command::new("sh")
            .args([
                "-c",
                "tar -c --exclude ./target --exclude ./.git . | tar -x -C \"$0\"",
            ])
            .arg(&directory)
            .current_dir(root()))?;
        Ok(Self {
            directory,
            _cleanup: cleanup,
        })
    }

    /// The steps of cargo without the engine: what no Dockerfile can save.
    fn compile(&self) -> Result<f64> {
        let target = self.directory.join("target");
        let start = Instant::now();
        run(Command::new("cargo")
            .args(["build", "--release", "--locked", "--target", "host-tuple"])
            .args(["-p", "rng", "-p", "hasher", "-p", "worker", "-p", "webui"])
            .env("CARGO_TARGET_DIR", &target)
            .env(
                "RUSTFLAGS",
                "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs",
            )
            .current_dir(&self.directory))?;
        let time = start.elapsed().as_secs_f64();
        fs::remove_dir_all(target)?;
        Ok(time)
    }

    fn build(&self, compose: &[&str], builder: Builder) -> Result<f64> {
        let buildkit = if builder == Builder::BuildKit {
            "1"
        } else {
            "0"
        };
        let start = Instant::now();
        run(Command::new(compose[0])
            .args(&compose[1..])
            .arg("build")
            .env("DOCKER_BUILDKIT", buildkit)
            .env("COMPOSE_DOCKER_CLI_BUILD", buildkit)
            .current_dir(&self.directory))?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn make_cold(&self) -> Result<()> {
        self.append("Cargo.toml", "#")
    }

    fn edit(&self) -> Result<()> {
        self.append("rng/src/lib.rs", "//")
    }

    /// Appends a comment that no build has seen yet.
    fn append(&self, file: &str, comment: &str) -> Result<()> {
        let file = self.directory.join(file);
        let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let text = fs::read_to_string(&file)? + &format!("\n{comment} {nonce}\n");
        Ok(fs::write(file, text)?)
    }
}
