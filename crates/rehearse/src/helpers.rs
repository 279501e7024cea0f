//! The helpers of checks that are no shell scripts: they measure the page, and the counter behind it.

use std::{
    env,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::browser::Browser;

pub(crate) const NAMES: [&str; 3] = ["moves", "page", "speed"];

/// The time that the page has to show something.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Functions for expressions about the page.
const FUNCTIONS: &str = r#"
    const find = (id) => document.getElementById(id);
    const text = (id) => find(id).textContent;
    const number = (id) => parseFloat(text(id).replaceAll(",", ""));
    const samples = () => {
        document.dispatchEvent(new Event("visibilitychange"));
        return JSON.parse(localStorage["dockercoins " + location.pathname] ?? '{ "samples": [] }').samples;
    };
    const polls = () => performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith("/json"));
"#;

/// Runs a helper, and returns what it prints.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result<String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match (name, &arguments[..]) {
        ("speed", [min, max]) => speed(min, max, "10"),
        ("speed", [min, max, seconds]) => speed(min, max, seconds),
        ("moves", [seconds]) => moves(seconds.parse()?),
        ("page", ["reload"]) => browser()?.reload().map(|()| String::new()),
        ("page", ["open", url]) => browser()?.open(url).map(|()| String::new()),
        ("page", ["until", expression]) => page_until(expression),
        ("page", [selector, text]) => page_until(&format!(
            "document.querySelector({selector:?})?.textContent.includes({text:?})"
        )),
        _ => bail!(
            "usage: speed MIN MAX [SECONDS] | moves SECONDS | page SELECTOR TEXT | page until EXPRESSION | page open URL | page reload"
        ),
    }
}

/// The URL of the page, without a slash at the end.
pub(crate) fn page_url() -> String {
    env::var("PAGE").unwrap_or_else(|_| "http://localhost:8000".to_owned())
}

/// Hashes per second over some seconds: from one update of the counter to another, since it stands
/// still in between.
fn speed(min: &str, max: &str, seconds: &str) -> Result<String> {
    let (min, max): (f64, f64) = (min.parse()?, max.parse()?);
    let (start, before) = update()?;
    sleep(Duration::from_secs(seconds.parse()?));
    let (end, after) = update()?;
    ensure!(after >= before, "the counter fell from {before} to {after}");
    let hashes = u32::try_from(after - before)?;
    let speed = f64::from(hashes) / (end - start).as_secs_f64();
    let seen = format!("{speed:.2} hashes/s");
    ensure!((min..=max).contains(&speed), "{seen}");
    Ok(seen)
}

/// When the counter moves next, and to what; after two seconds, also if it has not moved.
fn update() -> Result<(Instant, u64)> {
    let (start, before) = (Instant::now(), hashes()?);
    loop {
        let (now, hashes) = (Instant::now(), hashes()?);
        if hashes != before || start.elapsed() > Duration::from_secs(2) {
            return Ok((now, hashes));
        }
        sleep(Duration::from_millis(10));
    }
}

/// By how much the counter moves from one second to the next.
fn moves(seconds: u32) -> Result<String> {
    let start = Instant::now();
    let mut before = hashes()?;
    let mut moves = Vec::new();
    for second in 1..=seconds {
        sleep(
            (start + Duration::from_secs(second.into())).saturating_duration_since(Instant::now()),
        );
        let hashes = hashes()?;
        moves.push(hashes.saturating_sub(before).to_string());
        before = hashes;
    }
    Ok(moves.join(" "))
}

fn hashes() -> Result<u64> {
    let answer = ureq::get(format!("{}/json", page_url())).call()?;
    let json: Value = serde_json::from_str(&answer.into_body().read_to_string()?)?;
    Ok(json["hashes"].as_str().unwrap_or("0").parse()?)
}

fn browser() -> Result<Browser> {
    let session = env::var("BROWSER_SESSION").context("no browser")?;
    Ok(Browser { session })
}

/// Waits until an expression is true in the page.
fn page_until(expression: &str) -> Result<String> {
    let (browser, start) = (browser()?, Instant::now());
    loop {
        let value = browser.run(&format!("{FUNCTIONS} return {expression}"))?;
        if value == true {
            return Ok("on the page".to_owned());
        }
        if start.elapsed() > PAGE_TIMEOUT {
            let text = browser.run("return document.body.innerText")?;
            bail!(
                "{value}, and the page says: {}",
                text.as_str().unwrap_or_default()
            );
        }
        sleep(Duration::from_millis(200));
    }
}
