//! The page.

use std::time::Duration;

use e2e::{browser::Page, until};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::{measure, one_worker};

const STEELBLUE: [u8; 3] = [70, 130, 180];

/// "A drawing area shows up, and after a few seconds a blue graph."
// Fails when the graph is red.
#[test]
#[ignore = "needs a Docker engine and Chromium"]
fn u1_a_drawing_area_shows_up_and_within_seconds_a_blue_graph() {
    let runtime = runtime();
    let page = runtime.block_on(Page::open(&one_worker().url("webui")));
    let is_high = "return find('plot').getBoundingClientRect().height > 200";
    assert_eq!(runtime.block_on(page.run(is_high)), true);
    let after = until(Duration::from_secs(20), || {
        let pixels = runtime.block_on(page.pixels("plot")).into_iter();
        pixels.filter(|pixel| *pixel == STEELBLUE).count() > 100
    });
    println!("U1: a blue graph after {after:.1?}");
}

/// "The page asks webui once a second how far the counter is, and computes the speed itself."
// Fails when the page polls each five seconds, and when its formula leaves out the time.
#[tokio::test]
#[ignore = "needs a Docker engine and Chromium"]
async fn u2_the_page_polls_once_a_second_and_computes_the_speed_itself() {
    let webui = one_worker().webui();
    // What it is told: a counter and a time, no speed.
    let json = webui.json();
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["coins", "hashes", "now"]);

    let page = Page::open(&webui.url).await;
    let polls = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/json')).map((e) => e.startTime)";
    page.until(&format!("{polls}.length > 20")).await;
    let polls = page.run(&format!("return {polls}")).await;
    let polls: Vec<f64> = serde_json::from_value(polls).unwrap();
    let count = f64::from(u32::try_from(polls.len() - 1).unwrap());
    let period = (polls.last().unwrap() - polls[0]) / count;
    println!("U2: a poll each {period:.0} ms");
    assert!((950.0..1100.0).contains(&period), "{period} ms");

    let wrong = "const s = samples();
        const speed = (a, b) => (b.h - a.h) / (b.t - a.t);
        return s.slice(1).filter((b, i) => Math.abs(b.instant - speed(s[i], b)) > 1e-9)";
    assert_eq!(page.run(wrong).await, json!([]));
}

/// "It looks like four hashes a second, with regular dips down to zero. In truth the speed is
/// steady: 3.33."
// Fails when the counter is updated after each unit.
#[test]
#[ignore = "needs a Docker engine and Chromium"]
fn u3_the_speed_looks_like_4_with_dips_to_zero_while_the_true_one_is_3_33() {
    let runtime = runtime();
    let page = runtime.block_on(Page::open(&one_worker().url("webui")));
    let sample = || {
        runtime.block_on(async {
            // Enough of them, which are new.
            page.run("window.seen = samples().at(-1)?.t ?? 0").await;
            let seen = "samples().filter((sample) => sample.t > window.seen)";
            page.until(&format!("{seen}.length > 20")).await;
            let speeds = format!("return {seen}.map((sample) => sample.instant)");
            let speeds = page.run(&speeds).await;
            let speeds: Vec<Option<f64>> = serde_json::from_value(speeds).unwrap();
            (speeds, page.number("true").await)
        })
    };
    let claim = "U3, the speeds and the true one";
    measure(claim, sample, |(speeds, truth)| {
        let speeds = || speeds.iter().flatten();
        let fours = speeds().filter(|speed| (3.6..4.4).contains(*speed)).count();
        let zeros = speeds().filter(|speed| **speed == 0.0).count();
        fours >= 14 && (2..=6).contains(&zeros) && (3.1..=3.4).contains(truth)
    });
}

/// The page is driven by async functions.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
