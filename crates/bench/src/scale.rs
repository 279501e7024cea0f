//! Many workers and many rng, up to a hundred and ten.

use anyhow::Result;

use crate::{
    Bench,
    figure::{Figure, mean},
    neighbours::Neighbours,
    progress,
    speed::{count, ideal},
    stack::{DELAY, Stack},
    turns::{Value, in_turns},
};

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let sizes = [(10, 2), (20, 5), (50, 5), (100, 10)];
    let sizes = if bench.effort.short {
        &sizes[..1]
    } else {
        &sizes[..]
    };
    let mut figures = Vec::new();
    for &(workers, rngs) in sizes {
        let name = format!("{} × {rngs} rng", count(workers));
        let neighbours = Neighbours::watch();
        let measured = in_turns(bench, DELAY, |stack| {
            observe(bench, stack, &name, workers, rngs)
        });
        let warning = neighbours.warning();
        let mut measured = match (measured, &warning) {
            // Whatever failed, it cannot be measured on this machine; what is smaller can.
            (Err(error), Some(warning)) => {
                progress(&format!("scale: left out {name}: {error:#}: {warning}"));
                continue;
            }
            (measured, _) => measured?,
        };
        if let Some(speed) = measured.first_mut() {
            speed.note = warning;
        }
        figures.extend(measured);
    }
    Ok(figures)
}

fn observe(
    bench: &Bench,
    stack: &Stack,
    name: &str,
    workers: u32,
    rngs: u32,
) -> Result<Vec<Value>> {
    let window = bench.effort.window;
    let counter = stack.up_and_working(workers, rngs)?;
    let mean_of = |stack: &Stack| -> Result<(f64, f64)> {
        let usage = stack.usage("worker")?;
        let cpu: Vec<f64> = usage.iter().map(|usage| usage.cpu).collect();
        let memory: Vec<f64> = usage.iter().map(|usage| usage.memory).collect();
        Ok((mean(&cpu), mean(&memory)))
    };
    let (before, _) = mean_of(stack)?;
    let speed = counter.speed(window);
    let (after, memory) = mean_of(stack)?;
    let cpu = 100.0 * (after - before) / window.as_secs_f64();
    let ideal = ideal(workers, rngs);
    Ok(vec![
        (format!("{name} (of {ideal:.2})"), "hashes/s", speed),
        (format!("{name}: CPU of a worker"), "% of a core", cpu),
        (format!("{name}: memory of a worker"), "MiB", memory),
    ])
}
