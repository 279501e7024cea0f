//! The resident memory of each service over a million requests.

use anyhow::{Context, Result};

use crate::{
    Bench,
    figure::Figure,
    load::wrk,
    progress,
    stack::{NO_DELAY, Programs, Stack},
};

/// How often memory is looked at.
const LOOKS: u64 = 10;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let stack = Stack::new(&bench.images, Programs::Ours, NO_DELAY)?;
    let requests = bench.effort.soak / LOOKS;
    let mut figures = Vec::new();
    stack.up(0, 1)?;
    for (service, method, path) in [
        ("rng", "GET", "/32"),
        ("hasher", "POST", "/"),
        ("webui", "GET", "/json"),
    ] {
        let url = format!("http://{}{path}", stack.address(service)?);
        figures.push(watch(bench, &stack, service, || {
            let mut left = requests;
            while left > 0 {
                left = left.saturating_sub(wrk(method, &url, 5)?.requests);
            }
            Ok(())
        })?);
    }
    let counter = stack.up_and_working(1, 1)?;
    figures.push(watch(bench, &stack, "worker", || {
        let requests_per_unit = 2;
        counter.wait_for_units(requests / requests_per_unit)
    })?);
    Ok(figures)
}

/// The memory of a service after all requests, with that after the first tenth as its limit.
fn watch(
    bench: &Bench,
    stack: &Stack,
    service: &str,
    make_requests: impl Fn() -> Result<()>,
) -> Result<Figure> {
    let mut samples = Vec::new();
    for look in 1..=LOOKS {
        make_requests()?;
        samples.push(stack.usage(service)?.first().context("it is gone")?.memory);
        progress(&format!("soak: {service}, {look} of {LOOKS}"));
    }
    let name = format!("{service} after {} requests", bench.effort.soak);
    let last = samples.split_off(samples.len() - 1);
    samples.truncate(1);
    Ok(Figure::new(name, "MiB", last).limit("after a tenth of them", samples))
}
