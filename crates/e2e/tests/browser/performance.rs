//! What a sample costs.

use e2e::browser::{Engine, Page};
use serde_json::json;

use crate::application::{Webui, files};

/// The milliseconds that a sample may take.
const MILLISECONDS: f64 = 2.0;

/// `simulate(seconds)`: one worker, events each five minutes; the result is the milliseconds a sample.
const SIMULATE: &str = "
    const load = (file) => import(new URL(`${file}.js`, location));
    const start = ([{ add }, { draw }, { showFigures, showState }, { view }]) => {
        let [samples, events, t] = [[], [], 1e9];
        window.simulate = (seconds) => {
            const start = performance.now();
            for (let i = 0; i < seconds; i++) {
                t += 1;
                const outage = t % 300 === 0 ? 'redis' : undefined;
                if (outage) events = [...events, { t, word: outage }].filter((event) => event.t > t - 3600);
                samples = add(samples, { t, h: 4 * Math.floor(t / 1.2), coins: 0, outage });
                [view.oldest, view.present] = [samples[0].t, t];
                showState('live');
                showFigures(samples);
                draw(samples, events);
                find('plot').getBoundingClientRect(); // the browser lays it out only then
            }
            return (performance.now() - start) / seconds;
        };
    };
    return Promise.all(['history', 'graph', 'state', 'view'].map(load)).then(start);
";

#[tokio::test]
#[ignore = "needs a browser"]
async fn three_hours_of_samples_cost_little_time_and_no_memory() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    page.run(SIMULATE).await;
    // Fill the hour that is kept.
    for _ in 0..4 {
        page.run("simulate(900)").await;
    }
    let before = heap(&page).await;
    // The quickest quarter of an hour: a busy machine says nothing about the page.
    let mut milliseconds = f64::INFINITY;
    for _ in 0..12 {
        milliseconds = milliseconds.min(page.get("simulate(900)").await.as_f64().unwrap());
    }
    let growth = heap(&page).await - before;
    println!("{milliseconds:.2} ms a sample, {growth} bytes of growth");
    assert!(milliseconds < MILLISECONDS, "{milliseconds} ms");
    assert!(growth < 500_000, "{growth} bytes of growth");
}

/// The bytes that the scripts of the page hold. Only Chromium tells them.
async fn heap(page: &Page) -> i64 {
    if page.engine() != Engine::Chromium {
        return 0;
    }
    page.devtools("HeapProfiler.collectGarbage", json!({}))
        .await;
    let usage = page.devtools("Runtime.getHeapUsage", json!({})).await;
    #[allow(clippy::cast_possible_truncation)]
    let bytes = usage["usedSize"].as_f64().unwrap() as i64;
    bytes
}
