//! From `up` to the first unit and to healthy containers, and `stop`, beside what the engine takes
//! for as many containers that do nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::{
    Bench,
    command::wait_until,
    figure::Figure,
    stack::{DELAY, Programs, Stack},
    turns::{BARE, Value, figures},
};

/// Health checks come every ten seconds.
const HEALTHY_TIMEOUT: Duration = Duration::from_secs(60);

/// Both with as many containers.
const IDLE: &str = "idle containers";

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let new = |programs| Stack::new(&bench.images, programs, DELAY);
    let (mut ours, mut idle) = (Vec::new(), Vec::new());
    let (mut first, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.effort.rounds {
        first.push(first_unit(&new(Programs::Ours)?)?);
        bare.push(first_unit(&new(Programs::Bare)?)?);
        ours.push(start_and_stop(&new(Programs::Ours)?)?);
        idle.push(start_and_stop(&new(Programs::Idle)?)?);
    }
    let mut all = figures(&first, BARE, &bare);
    all.extend(figures(&ours, IDLE, &idle));
    Ok(all)
}

/// The counter is updated a second after the first unit at the earliest.
fn first_unit(stack: &Stack) -> Result<Vec<Value>> {
    let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    stack.up(1, 1)?;
    let first = stack.counter()?.first_unit()?;
    Ok(vec![(
        "up to the first units in redis".into(),
        "s",
        first - start,
    )])
}

fn start_and_stop(stack: &Stack) -> Result<Vec<Value>> {
    let start = Instant::now();
    stack.up(1, 1)?;
    let up = start.elapsed().as_secs_f64();
    wait_until(HEALTHY_TIMEOUT, || {
        // worker has no health check.
        let format = "{{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}";
        let states = stack.inspect("", format)?;
        Ok(states.iter().all(|state| state == "healthy"))
    })?;
    let healthy = start.elapsed().as_secs_f64();
    stack.up(10, 1)?;
    if stack.programs == Programs::Ours {
        stack.counter()?.ready(10);
    }
    let start = Instant::now();
    stack.stop()?;
    let stop = start.elapsed().as_secs_f64();
    Ok(vec![
        ("up, until it returns".into(), "s", up),
        ("up to healthy".into(), "s", healthy),
        ("stop with ten workers".into(), "s", stop),
    ])
}
