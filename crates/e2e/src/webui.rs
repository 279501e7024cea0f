//! webui as its users see it, wherever it runs.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{get, retry};

/// A webui.
#[derive(Clone)]
pub struct Webui {
    /// Where it is reached, without a slash at the end.
    pub url: String,
}

impl Webui {
    /// What it answers to a poll of the page.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.poll().unwrap()
    }

    /// The counter of hashes; 0 while there is none.
    #[track_caller]
    pub fn hashes(&self) -> u64 {
        self.counter().unwrap()
    }

    /// Hashes/second over `time`: from one update of the counter to another, since it stands still
    /// in between.
    #[track_caller]
    pub fn speed(&self, time: Duration) -> f64 {
        self.measure(time).unwrap()
    }

    /// Waits until the counter exceeds `hashes`; until then, webui may fail.
    #[track_caller]
    pub fn until_hashes(&self, timeout: Duration, hashes: u64) {
        retry(timeout, || {
            let counter = self.counter()?;
            ensure!(counter > hashes, "the counter is at {counter}");
            Ok(())
        });
    }

    /// Waits until the speed over three seconds exceeds `speed`, and returns how long that took;
    /// until then, webui may fail.
    #[track_caller]
    pub fn until_speed(&self, timeout: Duration, speed: f64) -> Duration {
        retry(timeout, || {
            let measured = self.measure(Duration::from_secs(3))?;
            ensure!(measured > speed, "{measured} hashes/second");
            Ok(())
        })
    }

    fn poll(&self) -> Result<Value> {
        Ok(serde_json::from_str(&get(&format!("{}/json", self.url))?)?)
    }

    fn counter(&self) -> Result<u64> {
        Ok(self.poll()?["hashes"].as_str().unwrap_or("0").parse()?)
    }

    fn measure(&self, time: Duration) -> Result<f64> {
        let (start, before) = self.update()?;
        sleep(time);
        let (end, after) = self.update()?;
        let hashes = u32::try_from(after.saturating_sub(before))?;
        Ok(f64::from(hashes) / (end - start).as_secs_f64())
    }

    /// When the counter moves next, and to what; after two seconds, also if it has not moved.
    fn update(&self) -> Result<(Instant, u64)> {
        let (start, before) = (Instant::now(), self.counter()?);
        loop {
            let (now, hashes) = (Instant::now(), self.counter()?);
            if hashes != before || start.elapsed() > Duration::from_secs(2) {
                return Ok((now, hashes));
            }
            sleep(Duration::from_millis(10));
        }
    }
}
