//! The resident memory of each service at ten workers.

use std::{thread::sleep, time::Duration};

use anyhow::Result;

use crate::{
    Bench,
    figure::Figure,
    stack::{DELAY, SERVICES},
    turns::in_turns,
};

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    in_turns(bench, DELAY, |stack| {
        stack.up_and_working(10, 1)?;
        let requests = bench.effort.requests.to_string();
        // What the page does.
        stack.run(&[
            "/bare",
            "probe",
            &requests,
            "webui/json",
            "webui/index.html",
        ])?;
        sleep(bench.effort.window.max(Duration::from_secs(1)));
        let mut values = Vec::new();
        for service in SERVICES {
            let usage = stack.usage(service)?;
            let largest = usage.iter().map(|usage| usage.memory).fold(0.0, f64::max);
            values.push((format!("{service}, ten workers"), "MiB", largest));
        }
        Ok(values)
    })
}
