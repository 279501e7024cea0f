//! An hour of history: it survives a reload, can be paused and scrolled.

use std::time::Duration;

use e2e::browser::{Engine, Page};
use serde_json::json;
use thirtyfour::Key;
use tokio::time::sleep;

use crate::{application::Application, page_with_history, steady};

/// How many seconds before the present the right edge is.
const BACK: &str = "Math.round(samples().at(-1).t - \
    (new Date().setHours(...text('state').match(/\\d+/g)) / 1000))";

/// The graph and the figures.
const PICTURE: &str = "JSON.stringify([find('area').getAttribute('d'), text('result')])";

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_history_survives_a_reload() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until("samples().length > 5").await;
    let times = "samples().map((sample) => sample.t)";
    let before = page.get(times).await;
    let before = before.as_array().unwrap();
    page.reload().await;
    page.until(&format!("samples().length > {}", before.len() + 2))
        .await;
    let after = page.get(times).await;
    assert!(after.as_array().unwrap().starts_with(before));
    assert_eq!(page.get("stretches('area')").await, 1);
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_history_with_invalid_values_does_no_harm() {
    let application = Application::start(0).await;
    application.count(4).await;
    let page = Page::blank("light").await;
    for history in [
        json!({ "samples": [{ "t": 1e12, "h": -2, "coins": 0.5 }], "events": [], "clock": 1e9 }),
        json!({ "samples": [{ "t": 1, "h": 2, "coins": 3 }], "events": [], "clock": "now", "away": {} }),
    ] {
        page.go_with_history(&application.url, &history).await;
        page.until_state("live", "Live").await;
        page.until("text('hashes') === '4' && number('instant') === 0")
            .await;
        assert_eq!(page.console().await, Vec::<String>::new(), "{history}");
    }
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_pause_freezes_the_picture_while_sampling_goes_on() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until("samples().length > 5").await;
    for (by, resume) in [("button", "space"), ("space", "button")] {
        let press = async |how: &str| {
            if how == "button" {
                page.click("pause").await;
                page.run("document.activeElement.blur()").await;
            } else {
                page.press(" ").await;
            }
        };
        press(by).await;
        page.until("state() === 'paused' && text('state').startsWith('Paused at ')")
            .await;
        assert_eq!(page.text("pause").await, "Resume");
        let picture = page.get(PICTURE).await;
        let samples = page.get("samples().length").await.as_u64().unwrap();
        page.until(&format!("samples().length > {samples} + 3"))
            .await;
        assert_eq!(page.get(PICTURE).await, picture);

        press(resume).await;
        page.until_state("live", "Live").await;
        assert_eq!(page.text("pause").await, "Pause");
        assert_ne!(page.get(PICTURE).await, picture);
        let lost = "samples().some((sample, i, all) => i && sample.t - all[i - 1].t > 2.5)";
        assert_eq!(page.get(lost).await, false, "samples are lost");
        assert_eq!(page.get("stretches('area')").await, 1);
    }
    // On a button, the space bar presses it once.
    page.run("find('pause').focus()").await;
    page.press(" ").await;
    page.until("state() === 'paused'").await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn arrow_keys_wheel_and_finger_scroll_and_one_key_returns() {
    let (_application, page) = page_with_history(900, steady).await;
    let back = async || page.get(BACK).await.as_f64().unwrap();
    let near = async |expected: f64| {
        let back = back().await;
        assert!((back - expected).abs() <= 4.0, "{back} s, not {expected} s");
    };
    let returns = async || {
        page.press(Key::End).await;
        page.until_state("live", "Live").await;
    };
    for _ in 0..5 {
        page.press(Key::Left).await;
    }
    near(50.0).await;
    page.press(Key::Right).await;
    near(40.0).await;
    // The figures are those of that time.
    let then = page
        .get(&format!("number('hashes') < 4 * 900 - 4 * ({BACK} - 9)"))
        .await;
    assert_eq!(then, true);
    returns().await;

    let width = page
        .get("find('graph').clientWidth")
        .await
        .as_f64()
        .unwrap();
    page.wheel("graph", -200).await;
    near(200.0 / width * 250.0).await;
    page.wheel("graph", 1000).await;
    page.until_state("live", "Live").await;

    page.swipe("graph", 300).await;
    near(300.0 / width * 250.0).await;
    page.swipe("graph", -100).await;
    near(200.0 / width * 250.0).await;
    returns().await;

    // Not to before the oldest sample: the graph stays full.
    for _ in 0..10 {
        page.wheel("graph", -1000).await;
    }
    let back = back().await;
    assert!((640.0..=670.0).contains(&back), "{back} s");
    let oldest = page
        .get("find('area').getAttribute('d').match(/-[\\d.]+/)[0]")
        .await;
    let oldest: f64 = oldest.as_str().unwrap().parse().unwrap();
    assert!(oldest < -245.0, "{oldest}");
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_short_history_does_not_scroll() {
    let (_application, page) = page_with_history(100, steady).await;
    page.press(Key::Left).await;
    page.wheel("graph", -500).await;
    assert_eq!(page.get("state()").await, "live");
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_readout_stays_under_a_resting_pointer() {
    let (_application, page) = page_with_history(300, steady).await;
    page.point_at("graph", 0).await;
    page.until("!find('cursor').hidden").await;
    let left = "find('cursor').getBoundingClientRect().left";
    let (place, before) = (page.get(left).await, page.text("readout").await);
    let words = before.split_once(": ").unwrap().1;
    let (rates, hashes) = words.rsplit_once(", ").unwrap();
    assert_eq!(rates, "4.0 instant, 4.0 true");
    let hashes: u64 = hashes
        .trim_end_matches(" hashes")
        .replace(',', "")
        .parse()
        .unwrap();
    assert!((600..800).contains(&hashes), "{before}");

    sleep(Duration::from_secs(4)).await;
    let moved = page.get(left).await.as_f64().unwrap() - place.as_f64().unwrap();
    assert!(moved.abs() < 8.0, "{moved} pixels");
    let after = page.text("readout").await;
    assert!(after[..8] > before[..8], "{before}, then {after}");

    // Also while the picture is scrolled under it.
    page.press(Key::Left).await;
    let scrolled = page.text("readout").await;
    assert!(scrolled[..8] < after[..8], "{after}, then {scrolled}");
    page.point_at("state", 0).await;
    page.until("find('cursor').hidden").await;

    // Where a finger was, it stays, until a touch elsewhere. The driver of WebKit has only a mouse.
    if page.engine() != Engine::WebKit {
        page.swipe("graph", 0).await;
        page.until("!find('cursor').hidden").await;
        page.swipe("result", 0).await;
        page.until("find('cursor').hidden").await;
    }
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_click_on_the_share_link_copies_the_speed_and_the_address() {
    let (application, page) = page_with_history(30, steady).await;
    page.click("share").await;
    let copied = page.get("getSelection().toString()").await;
    let copied = copied.as_str().unwrap();
    assert!(copied.contains("hashes/second"), "{copied}");
    assert!(copied.contains(&application.url), "{copied}");
}
