//! The time of a request to each service, from another container on its network: the look-up of the
//! name is not in it, the connection is.

use anyhow::Result;

use crate::{
    Bench,
    figure::{Figure, median, percentile},
    probe::Steps,
    stack::DELAY,
    turns::in_turns,
};

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    in_turns(bench, DELAY, |stack| {
        let requests = bench.effort.requests.to_string();
        let mut values = Vec::new();
        let mut add = |name: &str, step: &str, program: &[&str]| -> Result<()> {
            let steps = Steps::run(stack, program)?;
            let times = steps.of(step)?;
            values.push((format!("{name}: median"), "ms", median(times)));
            values.push((
                format!("{name}: 99th percentile"),
                "ms",
                percentile(times, 99.0),
            ));
            Ok(())
        };
        let probe = |target| ["/bare", "probe", &requests, target];
        stack.up(0, 1)?;
        add("rng, idle", "rng", &probe("rng"))?;
        add("hasher, idle", "hasher", &probe("hasher"))?;
        add("webui, idle: /json", "webui/json", &probe("webui/json"))?;
        // What a client of a busy rng waits for is the queue: this is the time of each turn in it.
        let turns = ["/bare", "turns", &requests, "10"];
        add("rng, ten clients: a turn", "turn", &turns)?;
        stack.up_and_working(10, 1)?;
        add("hasher, ten workers", "hasher", &probe("hasher"))?;
        add(
            "webui, ten workers: /json",
            "webui/json",
            &probe("webui/json"),
        )?;
        Ok(values)
    })
}
