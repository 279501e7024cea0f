//! The page in a real browser.
//!
//!     cargo test -p e2e --test browser -- --ignored
//!
//! runs in Chromium: on Debian, `apt install chromium chromium-driver`. `BROWSER=firefox` needs
//! `firefox-esr` and geckodriver, `BROWSER=webkit` needs `webkit2gtk-driver`, an X server
//! (`xvfb-run`) and `--test-threads 1`. `AXE` is the path of an `axe.min.js`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod accessibility;
mod application;
mod graph;
mod history;
mod layout;
mod performance;
mod state;

use std::time::{SystemTime, UNIX_EPOCH};

use application::Application;
use e2e::browser::Page;
use serde_json::{Value, json};

/// An application without workers, and a page with this many seconds of history: a sample each second.
async fn page_with_history(seconds: u64, hashes: impl Fn(u64) -> u64) -> (Application, Page) {
    let page = Page::blank("light").await;
    let application = application_with_history(&page, seconds, hashes, json!([])).await;
    (application, page)
}

/// The same, in an open page; the field `ago` of an event is its age in seconds.
async fn application_with_history(
    page: &Page,
    seconds: u64,
    hashes: impl Fn(u64) -> u64,
    mut events: Value,
) -> Application {
    let application = Application::start(0).await;
    application.count(hashes(seconds)).await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let samples: Vec<Value> = (0..=seconds)
        .map(|n| json!({ "t": now - seconds + n, "h": hashes(n), "coins": 1 }))
        .collect();
    for event in events.as_array_mut().unwrap() {
        event["t"] = json!(now - event["ago"].as_u64().unwrap());
    }
    let history = json!({ "samples": samples, "events": events, "clock": 0 });
    page.go_with_history(&application.url, &history).await;
    page.until_state("live", "Live").await;
    page.until(&format!("samples().at(-1).t > {now}")).await;
    application
}

/// Four hashes a second.
fn steady(seconds: u64) -> u64 {
    4 * seconds
}
