//! The page in a real browser.
//!
//!     cargo test -p e2e --test browser -- --ignored
//!
//! runs in Chromium: on Debian, `apt install chromium chromium-driver`. `BROWSER=firefox` and
//! `BROWSER=webkit` run the same tests in the other engines. `AXE` is the path of an `axe.min.js`.
//! `FILES` names another directory of the page's files.
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod accessibility;
mod application;
mod files;
mod graph;
mod history;
mod layout;
mod performance;
mod pictures;
mod speed;
mod state;

use std::time::{SystemTime, UNIX_EPOCH};

use application::Application;
use e2e::browser::Page;
use serde_json::{Value, json};

/// An application without workers, and a page that remembers the time before it: a sample each second.
async fn page_with_history(seconds: u64, hashes: impl Fn(u64) -> u64) -> (Application, Page) {
    let page = Page::blank("light").await;
    let application = application_with_history(&page, seconds, hashes, json!([])).await;
    (application, page)
}

/// The same, in a page that is open, with events so many seconds ago.
async fn application_with_history(
    page: &Page,
    seconds: u64,
    hashes: impl Fn(u64) -> u64,
    events: Value,
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
    let mut events = events;
    for event in events.as_array_mut().unwrap() {
        event["t"] = json!(now - event["ago"].as_u64().unwrap());
    }
    let history = json!({ "samples": samples, "events": events, "clock": 0 });
    page.go_with_history(&application.url, &history.to_string())
        .await;
    page.until_state("live", "Live").await;
    page.until(&format!("samples().at(-1).t > {now}")).await;
    application
}

/// Four hashes a second.
fn steady(seconds: u64) -> u64 {
    4 * seconds
}
