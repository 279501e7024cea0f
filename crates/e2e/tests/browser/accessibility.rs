//! For everybody: axe-core's rules, the keyboard, screen readers.

use std::{env, fs, time::Duration};

use e2e::browser::Page;
use serde_json::json;
use thirtyfour::Key;
use tokio::time::sleep;

use crate::{application::Application, application_with_history, page_with_history, steady};

/// The violations of axe-core's rules. It must have judged the contrast of the texts.
const VIOLATIONS: &str = "
    return axe.run().then(({ violations, passes }) => {
        const judged = passes.find(({ id }) => id === 'color-contrast')?.nodes.length ?? 0;
        if (judged < 15) return `the contrast of ${judged} texts`;
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
    });
";

#[tokio::test]
#[ignore = "needs a browser"]
async fn axe_finds_no_violation_in_any_state_light_or_dark() {
    let axe = env::var("AXE").expect(
        "AXE=axe.min.js, which `pip install axe-playwright-python` puts into its directory",
    );
    let axe = fs::read_to_string(axe).unwrap();
    for (scheme, paper) in [("light", "rgb(252, 252, 250)"), ("dark", "rgb(17, 22, 27)")] {
        let page = Page::blank(scheme).await;
        let events = json!([{ "ago": 100, "word": "redis" }]);
        let mut application = application_with_history(&page, 300, steady, events).await;
        page.run(&format!("{axe}; window.axe = axe")).await;
        let background = "getComputedStyle(document.body).backgroundColor";
        assert_eq!(page.get(background).await, paper, "{scheme}");
        // The readout is text too.
        page.run("find('graph').focus({ focusVisible: true })")
            .await;
        for state in ["live", "paused", "redis", "waiting"] {
            match state {
                "paused" => page.press(Key::Left).await,
                "redis" => {
                    page.press(Key::End).await;
                    application.stop_redis();
                }
                "waiting" => application.start_redis().await,
                _ => {}
            }
            page.until(&format!("state() === {state:?}")).await;
            // Until the axis is no longer highlighted.
            page.until("document.getAnimations().length === 0").await;
            let violations = page.run(VIOLATIONS).await;
            assert_eq!(violations, json!([]), "{state}, {scheme}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn everything_works_by_keyboard() {
    let (_application, page) = page_with_history(300, steady).await;
    for id in ["pause", "truth", "graph", "share"] {
        page.press(Key::Tab).await;
        assert_eq!(page.get("document.activeElement.id").await, id);
        let outline = page
            .get("getComputedStyle(document.activeElement).outlineStyle")
            .await;
        assert_ne!(
            outline, "none",
            "one does not see that the focus is on {id}"
        );
    }
    page.run("find('truth').focus()").await;
    page.press(" ").await;
    assert_eq!(
        page.get("getComputedStyle(find('line')).display").await,
        "none"
    );
    assert_eq!(page.get("state()").await, "live");

    // On the graph the arrow keys read out second by second.
    page.press(Key::Tab).await;
    page.until("!find('cursor').hidden").await;
    let spoken = "find('graph').getAttribute('aria-valuetext')";
    assert_eq!(page.get(spoken).await, "now");
    let mut texts = Vec::new();
    for _ in 0..3 {
        page.press(Key::Left).await;
        texts.push(page.get(spoken).await.as_str().unwrap().to_owned());
        assert_eq!(texts.last(), Some(&page.text("readout").await));
    }
    texts.dedup();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        texts.iter().all(|text| text.contains("0 instant, ")),
        "{texts:?}"
    );
    page.press(Key::End).await;
    assert_eq!(page.get("state()").await, "live");
    page.press(Key::Tab).await;
    page.until("find('cursor').hidden").await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_screen_reader_hears_of_changes_alone() {
    let application = Application::start(0).await;
    let page = Page::open(&application.url).await;
    // A counter of exactly this rate, however busy the machine is.
    page.run(
        "Object.assign(window, { rate: 3.3, away: false, h: 0, t: Date.now() / 1000 });
        window.fetch = async () => {
            const now = Date.now() / 1000;
            h += rate * (now - t);
            t = now;
            const counters = { coins: 0, hashes: `${Math.floor(h)}`, now };
            return away ? new Response('{\"error\":\"timeout\"}', { status: 503 }) : Response.json(counters);
        };
        window.spoken = [];
        const hear = (records) => records.forEach(({ target }) => spoken.push(target.textContent));
        for (const region of document.querySelectorAll('[role=status]')) {
            new MutationObserver(hear).observe(region, { childList: true, characterData: true });
        }",
    )
    .await;
    page.until("spoken.includes('3.3 hashes/second')").await;
    page.run("spoken.length = 0").await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(page.get("spoken").await, json!([]), "nothing has changed");

    page.run("window.rate = 10").await;
    page.until("/^(9|10)\\.\\d hashes.second$/.test(spoken)")
        .await;
    page.run("window.away = true").await;
    page.until("spoken.at(-1) === 'redis is unavailable: last known figures'")
        .await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn nothing_moves_but_time() {
    let (_application, page) = page_with_history(30, steady).await;
    page.reload().await;
    page.until("find('rates').childElementCount > 0").await;
    let moved = "document.getAnimations()
        .flatMap(({ effect }) => effect.getKeyframes())
        .flatMap(({ offset, easing, composite, computedOffset, ...properties }) => Object.keys(properties))
        .filter((property) => property !== 'color')";
    assert_eq!(page.get(moved).await, json!([]));
    assert_eq!(page.get("document.getAnimations().length > 0").await, true);
}
