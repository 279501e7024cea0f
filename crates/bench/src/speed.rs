//! Hashes per second, and where the time of a unit goes.

use std::time::Instant;

use anyhow::Result;

use crate::{
    Bench,
    figure::{Figure, mean},
    probe::Steps,
    stack::{DELAY, NO_DELAY, Programs, Stack},
    turns::{Value, in_turns},
};

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let effort = &bench.effort;
    let mut figures = Vec::new();
    for workers in if effort.short {
        vec![1]
    } else {
        vec![1, 2, 3, 10]
    } {
        let name = format!("{} (of {:.3})", count(workers), ideal(workers, 1));
        figures.extend(in_turns(bench, DELAY, |stack| {
            let counter = stack.up_and_working(workers, 1)?;
            Ok(vec![(
                name.clone(),
                "hashes/s",
                counter.speed(effort.window),
            )])
        })?);
    }
    for workers in if effort.short { vec![1] } else { vec![1, 2, 4] } {
        figures.extend(in_turns(bench, NO_DELAY, |stack| {
            without_delays(bench, stack, workers)
        })?);
    }
    Ok(figures)
}

/// The hashes per second that the delays allow.
pub(crate) fn ideal(workers: u32, rngs: u32) -> f64 {
    (f64::from(workers) / 0.3).min(10.0 * f64::from(rngs))
}

pub(crate) fn count(workers: u32) -> String {
    format!("{workers} worker{}", if workers == 1 { "" } else { "s" })
}

/// The speed, and the CPU of a unit by service; with one worker also the time of a unit by step.
fn without_delays(bench: &Bench, stack: &Stack, workers: u32) -> Result<Vec<Value>> {
    let named = |what: &str| format!("no delays, {}{what}", count(workers));
    let counter = stack.up_and_working(workers, 1)?;
    let (start, before) = (Instant::now(), cpu(stack)?);
    let speed = counter.speed(bench.effort.window);
    let (time, after) = (start.elapsed().as_secs_f64(), cpu(stack)?);
    let mut values = vec![(named(""), "units/s", speed)];
    for ((service, before), (_, after)) in before.into_iter().zip(after) {
        let name = named(&format!(": CPU of {service} per unit"));
        values.push((name, "ms", 1000.0 * (after - before) / (speed * time)));
    }
    if workers == 1 {
        let unit = 1000.0 / speed;
        let steps = steps(stack)?;
        let rest = unit - steps.iter().map(|(_, time)| time).sum::<f64>();
        for (step, time) in [("", unit)]
            .into_iter()
            .chain(steps)
            .chain([(": rest", rest)])
        {
            values.push((named(&format!(", time of a unit{step}")), "ms", time));
        }
    }
    Ok(values)
}

/// Seconds of CPU so far, by service.
fn cpu(stack: &Stack) -> Result<Vec<(&'static str, f64)>> {
    let services = ["worker", "rng", "hasher"].into_iter();
    services
        .map(|service| {
            let usage = stack.usage(service)?;
            Ok((service, usage.iter().map(|usage| usage.cpu).sum()))
        })
        .collect()
}

/// The mean times of the steps of a unit in milliseconds, measured without workers by a program that
/// makes the same requests as they do.
fn steps(stack: &Stack) -> Result<[(&'static str, f64); 3]> {
    stack.up(0, 1)?;
    let steps = Steps::run(
        stack,
        &match stack.programs {
            Programs::Ours => vec!["/steps", "2000"],
            _ => vec!["/bare", "probe", "2000", "rng", "hasher"],
        },
    )?;
    Ok([
        (": two look-ups", 2.0 * mean(steps.of("look-up")?)),
        (": request to rng", mean(steps.of("rng")?)),
        (": request to hasher", mean(steps.of("hasher")?)),
    ])
}
