//! The resident memory of each service over a million requests, without the log of requests, which
//! would take the engine longer to read.

use std::{panic::resume_unwind, thread};

use anyhow::{Context, Result};

use crate::{
    Bench,
    figure::Figure,
    load::wrk,
    progress,
    stack::{NO_DELAY_NO_LOG, Programs, Stack},
};

/// How often memory is looked at.
const LOOKS: u64 = 10;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let stack = Stack::new(&bench.images, Programs::Ours, NO_DELAY_NO_LOG)?;
    let requests = bench.effort.soak / LOOKS;
    stack.up(0, 1)?;
    let load = |(service, method, path)| {
        let url = format!("http://{}{path}", stack.address(service)?);
        watch(bench, &stack, service, || {
            let mut left = requests;
            while left > 0 {
                left = left.saturating_sub(wrk(method, &url, 5)?.requests);
            }
            Ok(())
        })
    };
    // At once, since the kernel has only so many ports a minute for connections to one server.
    let mut figures = thread::scope(|scope| {
        let servers = [
            ("rng", "GET", "/32"),
            ("hasher", "POST", "/"),
            ("webui", "GET", "/json"),
        ];
        let threads = servers.map(|server| scope.spawn(move || load(server)));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
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
