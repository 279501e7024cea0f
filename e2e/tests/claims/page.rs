//! The page.

use std::time::{Duration, Instant};

use e2e::browser::Page;

use crate::one_worker;

const STEELBLUE: [u8; 3] = [70, 130, 180];

/// "A drawing area shows up, and after a few seconds a blue graph."
#[tokio::test]
#[ignore = "needs a Docker engine and Chromium"]
async fn u1_a_drawing_area_shows_up_and_within_seconds_a_blue_graph() {
    let webui = one_worker().await.url("webui").unwrap();
    let page = Page::open(&webui).await;
    let start = Instant::now();
    assert_eq!(
        page.run("return find('plot').getBoundingClientRect().height > 200")
            .await,
        true
    );
    page.until("stretches('area') === 1 && samples().some((s) => s.instant > 0)")
        .await;
    let after = start.elapsed();
    assert!(after < Duration::from_secs(10), "after {after:?}");
    let pixels = page.pixels("plot").await;
    let blue = pixels.iter().filter(|pixel| **pixel == STEELBLUE).count();
    println!("U1: a graph after {after:.1?}, {blue} pixels of it are blue");
    assert!(blue > 100, "{blue} pixels are blue");
}

/// "The page asks webui once a second how far the counter is, and computes the speed itself."
#[tokio::test]
#[ignore = "needs a Docker engine and Chromium"]
async fn u2_the_page_polls_once_a_second_and_computes_the_speed_itself() {
    let project = one_worker().await;
    // What it is told: a counter and a time, no speed.
    let json = project.json().await.unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["coins", "hashes", "now"]);

    let page = Page::open(&project.url("webui").unwrap()).await;
    let polls = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/json')).map((e) => e.startTime)";
    page.until(&format!("{polls}.length > 20")).await;
    let polls = page.run(&format!("return {polls}")).await;
    let polls: Vec<f64> = serde_json::from_value(polls).unwrap();
    let period =
        (polls.last().unwrap() - polls[0]) / f64::from(u32::try_from(polls.len() - 1).unwrap());
    println!("U2: a poll each {period:.0} ms");
    assert!((950.0..1100.0).contains(&period), "{period} ms");

    let wrong = page
        .run(
            "const s = samples();
            const speed = (a, b) => (b.h - a.h) / (b.t - a.t);
            return s.slice(1).filter((b, i) => Math.abs(b.instant - speed(s[i], b)) > 1e-9)",
        )
        .await;
    assert_eq!(wrong, serde_json::json!([]));
}

/// "It looks like four hashes a second, with regular dips down to zero. In truth the speed is
/// steady: 3.33."
#[tokio::test]
#[ignore = "needs a Docker engine and Chromium"]
async fn u3_the_speed_looks_like_4_with_dips_to_zero_while_the_true_one_is_3_33() {
    let page = Page::open(&one_worker().await.url("webui").unwrap()).await;
    page.until("samples().length > 25").await;
    let speeds = page
        .run("return samples().slice(1).map((s) => s.instant)")
        .await;
    let speeds: Vec<f64> = serde_json::from_value(speeds).unwrap();
    let share = |of: &dyn Fn(f64) -> bool| {
        let count = speeds.iter().filter(|speed| of(**speed)).count();
        f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(speeds.len()).unwrap())
    };
    let fours = share(&|speed| (3.6..4.4).contains(&speed));
    let zeros = share(&|speed| speed == 0.0);
    let truth = page.number("true").await;
    println!("U3: {fours:.2} of the speeds are 4, {zeros:.2} are 0; the true one is {truth}");
    assert!(fours > 0.6 && fours + zeros > 0.9, "{speeds:?}");
    assert!((0.1..0.3).contains(&zeros), "{speeds:?}");
    assert!((3.2..=3.4).contains(&truth), "{truth}");
}
