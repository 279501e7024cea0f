//! The sizes of the images, and how many crates are in them.

use std::{collections::BTreeSet, process::Command};

use anyhow::Result;

use crate::{
    Bench,
    command::{docker, run},
    figure::Figure,
    stack::{SERVICES, root},
};

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for service in SERVICES {
        let image = bench.images.of(service);
        let size = docker(&["image", "inspect", "--format", "{{.Size}}", &image])?;
        let megabytes = size.trim().parse::<f64>()? / 1e6;
        figures.push(Figure::new(
            format!("image of {service}"),
            "MB",
            vec![megabytes],
        ));
    }
    let packages = SERVICES.iter().flat_map(|service| ["--package", service]);
    let tree = run(Command::new("cargo")
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}"])
        .args(packages)
        .current_dir(root()))?;
    let crates: BTreeSet<_> = tree
        .split('\n')
        .filter(|line| line.contains(" v"))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds")]
    let crates = crates.len() as f64;
    figures.push(Figure::new("crates that are compiled", "", vec![crates]));
    Ok(figures)
}
