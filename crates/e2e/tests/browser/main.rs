//! The page in a real browser.
//!
//!     cargo test -p e2e --test browser -- --ignored
//!
//! needs Chromium and its driver: on Debian, `apt install chromium chromium-driver`. `CHROMEDRIVER`
//! names another driver, `FILES` another directory of the page's files, and `PICTURE` the file for
//! the picture of the README.
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod application;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use application::{Application, Webui, files};
use e2e::browser::{Directory, Page};
use serde_json::{Value, json};
use thirtyfour::Key;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

/// The whole page, before compression.
const LARGEST: u64 = 15 * 1024;

/// How long after a change of scale the true speed may take to show it.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(20);

const STEELBLUE: [u8; 3] = [70, 130, 180];
const TRUE_SPEED: [u8; 3] = [194, 65, 12];

/// A page that remembers 250 seconds at 4 hashes/second, of an application without workers.
async fn page_with_a_history() -> (Application, Page) {
    let application = Application::start(0).await;
    application.count(1000).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let history: Vec<Value> = (0..=250)
        .map(|n| json!({ "t": now.as_secs() - 250 + n, "h": 4 * n, "coins": 1 }))
        .collect();
    let page = Page::blank().await;
    page.remember(&json!(history).to_string()).await;
    page.go(&application.url).await;
    page.until_state("live", "Live").await;
    (application, page)
}

#[test]
fn the_whole_page_is_within_15_kilobytes() {
    let sizes = fs::read_dir(files())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len());
    let size: u64 = sizes.sum();
    assert!(size <= LARGEST, "{size} bytes");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_page_loads_and_its_numbers_move() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until_state("live", "Live").await;
    page.until("number('hashes') > 0").await;
    let hashes = page.number("hashes").await;
    page.until(&format!(
        "number('hashes') > {hashes} && number('average') > 0"
    ))
    .await;
    page.until("number('true') > 0 && number('coins') >= 0 && stretches('area') === 1")
        .await;
    assert_eq!(page.text("share").await, format!("{}/", application.url));
    assert_eq!(page.complaints().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn one_worker_reads_3_3_with_dips_and_ten_workers_read_10() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until("samples().length > 12").await;
    page.until("samples().slice(-4).every((s) => s.trueSpeed >= 3.15 && s.trueSpeed < 3.45)")
        .await;
    let speed = page.text("speed").await;
    assert!(
        ["~3.2", "~3.3", "~3.4"]
            .map(|speed| format!("{speed} hashes/second"))
            .contains(&speed),
        "{speed}"
    );
    // The counter moves by 4, or not at all.
    page.until("samples().some((s) => s.instant === 0)").await;
    page.until("samples().some((s) => s.instant > 3.5 && s.instant < 4.5)")
        .await;

    application.add_workers(9);
    let start = Instant::now();
    page.until("number('true') >= 9 && number('true') <= 10.2")
        .await;
    assert!(start.elapsed() < FOLLOWS_WITHIN, "{:?}", start.elapsed());
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_area_is_drawn_in_blue_and_the_line_can_be_switched_off() {
    let (_application, page) = page_with_a_history().await;
    let both = page.pixels("plot").await;
    page.click("truth").await;
    let area = page.pixels("plot").await;
    let count = |pixels: &[[u8; 3]], colour| pixels.iter().filter(|p| **p == colour).count();

    // At 4 hashes/second the area is four fifths as high as the axis, which ends at 5.
    let percent = 100 * count(&area, STEELBLUE) / area.len();
    assert!((70..=80).contains(&percent), "{percent} % are blue");
    assert!(count(&both, STEELBLUE) > both.len() / 2);
    assert!(count(&both, TRUE_SPEED) > 500, "no line");
    assert_eq!(count(&area, TRUE_SPEED), 0, "the line is still there");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn before_the_first_units_it_says_that_it_waits() {
    let application = Application::start(0).await;
    let page = Page::open(&application.url).await;
    page.until_state("waiting", "Waiting for the first units of work")
        .await;
    for id in ["true", "instant", "average", "hashes", "coins"] {
        assert_eq!(page.text(id).await, "–", "{id}");
    }
    application.add_workers(1);
    page.until_state("live", "Live").await;
    page.until("number('hashes') > 0").await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn without_redis_it_keeps_the_last_figures_and_a_new_redis_begins_a_new_run() {
    let mut application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.run("window.loaded = 'once'").await;
    page.until("number('hashes') >= 20").await;
    let colour = "getComputedStyle(find('hashes')).color";
    let colour_when_live = page.run(&format!("return {colour}")).await;

    application.stop_redis();
    page.until_state("redis", "redis is away: last known figures")
        .await;
    let hashes = page.number("hashes").await;
    assert!(hashes >= 20.0, "{hashes}");
    assert!(page.number("true").await > 0.0);
    let colour_when_away = page.run(&format!("return {colour}")).await;
    assert_ne!(colour_when_away, colour_when_live, "not greyed");

    application.start_redis().await;
    page.until("['live', 'back'].includes(state()) && number('hashes') > 0")
        .await;
    assert!(page.number("hashes").await < hashes);
    page.until("number('true') > 0 && stretches('area') === 2")
        .await;
    let rates = page
        .run("return samples().flatMap((s) => [s.instant, s.trueSpeed])")
        .await;
    let negative = |rate: &Value| rate.as_f64().is_some_and(|rate| rate < 0.0);
    assert!(!rates.as_array().unwrap().iter().any(negative), "{rates}");
    page.until_state("live", "Live").await;
    assert_eq!(page.run("return window.loaded").await, "once");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_redis_that_does_not_answer_is_away_too() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = format!("redis://{}", silent.local_addr().unwrap());
    let webui = Webui::start(redis::Client::open(redis).unwrap(), &files()).await;
    let page = Page::open(&webui.url).await;
    page.until_state("redis", "redis is away: last known figures")
        .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn when_webui_comes_back_the_page_goes_on_by_itself_and_shows_the_gap() {
    let application = Application::start(1).await;
    let mut webui = Webui::start(application.redis(), &files()).await;
    let page = Page::open(&webui.url).await;
    page.run("window.loaded = 'once'").await;
    page.until("number('hashes') >= 8").await;
    assert_eq!(page.run("return stretches('area')").await, 1);

    webui.stop().await;
    page.until_state("webui", "webui is away: last known figures")
        .await;
    assert!(page.number("hashes").await >= 8.0);

    webui.start_again().await;
    page.until_state("back", "Back again").await;
    page.until("stretches('area') === 2").await;
    page.until_state("live", "Live").await;
    assert_eq!(page.run("return window.loaded").await, "once");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_history_survives_a_reload() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until("samples().length > 5").await;
    let times = "samples().map((s) => s.t)";
    let before = page.run(&format!("return {times}")).await;
    page.reload().await;
    page.until(&format!(
        "{times}.length > {}",
        before.as_array().unwrap().len() + 2
    ))
    .await;
    let after = page.run(&format!("return {times}")).await;
    assert!(
        after
            .as_array()
            .unwrap()
            .starts_with(before.as_array().unwrap())
    );
    assert_eq!(page.run("return stretches('area')").await, 1);
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn garbage_in_its_memory_does_no_harm() {
    let application = Application::start(0).await;
    application.count(4).await;
    let page = Page::blank().await;
    for garbage in [
        "",
        "{",
        "5",
        "null",
        "{}",
        "[null]",
        "[[]]",
        r#"["text"]"#,
        r#"[{"t":"1","h":2,"coins":3}]"#,
        r#"[{"t":1,"h":null,"coins":3}]"#,
        r#"[{"t":1e12,"h":-2,"coins":0.5},{"t":-1e12,"h":1e12,"coins":0}]"#,
        r#"[{"t":1,"h":2,"coins":3,"instant":"<b>","trueSpeed":{}}]"#,
    ] {
        page.remember(garbage).await;
        page.go(&application.url).await;
        page.until_state("live", "Live").await;
        page.until("text('hashes') === '4' && number('instant') === 0")
            .await;
        assert_eq!(page.complaints().await, Vec::<String>::new(), "{garbage}");
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn an_edit_of_a_file_shows_at_the_next_reload() {
    let copy = Directory::empty();
    for file in fs::read_dir(files()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.0.join(file.file_name())).unwrap();
    }
    let webui = Webui::without_redis(&copy.0).await;
    let page = Page::open(&webui.url).await;
    let fill = "return getComputedStyle(find('area')).fill";
    assert_eq!(page.run(fill).await, "rgb(70, 130, 180)");

    let style = copy.0.join("style.css");
    let edited = fs::read_to_string(&style)
        .unwrap()
        .replace("steelblue", "tomato");
    fs::write(style, edited).unwrap();
    page.reload().await;
    assert_eq!(page.run(fill).await, "rgb(255, 99, 71)");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn without_files_on_disk_the_page_is_still_there() {
    let empty = Directory::empty();
    for files in [&empty.0, Path::new("not-there")] {
        let webui = Webui::without_redis(files).await;
        let page = Page::open(&webui.url).await;
        page.until_state("redis", "redis is away: last known figures")
            .await;
        let fill = page.run("return getComputedStyle(find('area')).fill").await;
        assert_eq!(fill, "rgb(70, 130, 180)", "{files:?}");
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn light_or_dark_as_the_system_prefers_with_contrast_for_all_text() {
    let (_application, page) = page_with_a_history().await;
    // The readout is text too.
    page.run("find('inspect').focus()").await;
    let mut papers = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefer(scheme).await;
        papers.push(
            page.run("return getComputedStyle(document.body).backgroundColor")
                .await,
        );
        for state in ["live", "redis"] {
            let script = format!("document.body.dataset.state = {state:?}; {FAINT}");
            assert_eq!(page.run(&script).await, json!([]), "{scheme}, {state}");
        }
    }
    assert_eq!(papers, ["rgb(252, 252, 250)", "rgb(17, 22, 27)"]);
}

/// The texts whose contrast is below what WCAG calls AA.
const FAINT: &str = "
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const linear = (c) => (c <= 10 ? c / 3294 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = (colour) => {
        const [r, g, b] = channels(colour).map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return channels(colour)[3] === 0 ? paper(element.parentElement) : colour;
    };
    const contrast = (element) => {
        const two = [getComputedStyle(element).color, paper(element)].map(luminance);
        return (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
    };
    const texts = [...document.body.querySelectorAll('*')].filter((element) =>
        element.checkVisibility()
        && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    if (texts.length < 20) return 'too few texts: ' + texts.length;
    return texts
        .filter((element) => contrast(element) < 4.5)
        .map((element) => element.textContent + ': ' + contrast(element));
";

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn no_width_needs_scrolling_sideways() {
    let (_application, page) = page_with_a_history().await;
    for (width, height) in [
        (320, 640),
        (390, 844),
        (768, 1024),
        (1180, 720),
        (1920, 1080),
    ] {
        page.resize(width, height).await;
        page.until(&format!("innerWidth === {width}")).await;
        let content = page
            .run("return document.documentElement.scrollWidth")
            .await;
        assert!(
            content.as_u64().unwrap() <= width.into(),
            "{content} in {width}"
        );
        let graph = page
            .run("return find('plot').getBoundingClientRect().width")
            .await;
        assert!(graph.as_f64().unwrap() > 200.0, "{graph} in {width}");
    }
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_arrow_keys_inspect_the_samples() {
    let (_application, page) = page_with_a_history().await;
    for _ in 0..5 {
        page.press(Key::Tab).await;
        if page.run("return document.activeElement.id").await == "inspect" {
            break;
        }
    }
    page.until("document.activeElement.id === 'inspect' && !find('cursor').hidden")
        .await;
    let spoken = "return find('inspect').getAttribute('aria-valuetext')";
    let newest = page.run(spoken).await;
    for _ in 0..5 {
        page.press(Key::Left).await;
    }
    let older = page.run(spoken).await;
    assert_ne!(older, newest);
    assert!(older.as_str().unwrap().contains(" instant, "), "{older}");
    assert_eq!(page.text("readout").await, older);
    page.press(Key::Right).await;
    assert_ne!(page.run(spoken).await, older);
    let outline = page
        .run("return getComputedStyle(find('graph')).outlineStyle")
        .await;
    assert_eq!(outline, "solid", "one does not see where the focus is");
    page.press(Key::Tab).await;
    assert_eq!(page.run("return find('cursor').hidden").await, true);
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_value_under_the_mouse_or_a_finger_is_shown() {
    let (_application, page) = page_with_a_history().await;
    page.point_at("graph").await;
    page.until("!find('cursor').hidden && text('readout').endsWith(': 4.0 instant, 4.0 true')")
        .await;
    page.point_at("state").await;
    assert_eq!(page.run("return find('cursor').hidden").await, true);

    // Where a finger was, the value stays.
    let touched = page.value(
        "{ const { x, y, width, height } = find('graph').getBoundingClientRect();
        return [{ x: x + width / 2, y: y + height / 2 }]; }",
    );
    let touched = touched.await;
    for (kind, points) in [("touchStart", touched), ("touchEnd", json!([]))] {
        let touch = json!({ "type": kind, "touchPoints": points });
        page.devtools("Input.dispatchTouchEvent", touch).await;
    }
    page.until("!find('cursor').hidden && text('readout').endsWith(': 4.0 instant, 4.0 true')")
        .await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn a_click_on_the_share_link_copies_the_speed_and_the_address() {
    let (application, page) = page_with_a_history().await;
    page.click("share").await;
    let copied = page.run("return getSelection().toString()").await;
    let copied = copied.as_str().unwrap();
    assert!(copied.contains("hashes/second"), "{copied}");
    assert!(copied.contains(&application.url), "{copied}");
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_formulas_hold() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    let mut wrong = Vec::new();
    for (sentence, expression, expected) in formulas() {
        let value = page
            .value(&format!(
                "{{
                const {{ add, average, lastSeconds, read, slope, speed, ticks }} =
                    await import(new URL('speed.js', location));
                const poll = (counter, times) =>
                    times.map((t) => ({{ t, h: counter(t), coins: 0 }})).reduce(add, []);
                const upTo = (seconds) => Array.from({{ length: seconds + 1 }}, (_, t) => t);
                const worker = (t) => 4 * Math.floor(t / 1.2);
                const steady = (t) => 4 * t;
                const last = (samples) => samples.at(-1);
                return {expression}; }}"
            ))
            .await;
        if value != expected {
            wrong.push(format!(
                "{sentence}: {expression} is {value}, not {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What it is about, an expression, and its value.
#[rustfmt::skip]
fn formulas() -> Vec<(&'static str, &'static str, Value)> {
    let (gone, webui) = (json!([null, null]), json!({ "state": "webui" }));
    vec![
        ("the speed is what the counter gains in a second",
            "speed({ t: 1, h: 10 }, { t: 3, h: 16 })", json!(3)),
        ("the speed is not known from one sample",
            "[last(poll(worker, [0])).trueSpeed, average(poll(worker, [0]))]", gone.clone()),
        ("the instant speed dips where a worker has not counted",
            "poll(worker, upTo(8)).map((s) => s.instant)", json!([null, 0, 4, 4, 4, 4, 4, 0, 4])),
        ("the true speed of one worker is steady",
            "poll(worker, upTo(250)).slice(24).every((s) => Math.abs(s.trueSpeed - 10 / 3) < 0.1)",
            json!(true)),
        ("the average is over all",
            "average(poll(worker, upTo(240))).toFixed(2)", json!("3.33")),
        ("the true speed follows a change of scale within ten seconds",
            "Math.round(last(poll((t) => 3 * t + 7 * Math.max(t - 60, 0), upTo(70))).trueSpeed)",
            json!(10)),
        ("the slope is from the earlier half to the later one",
            "slope([0, 0, 3, 3].map((h, t) => ({ t, h })))", json!(1.5)),
        ("the slope of one sample is not known", "slope([{ t: 0, h: 0 }])", json!(null)),
        ("a window of six seconds has six samples",
            "lastSeconds(poll(steady, upTo(60)), 6).map((s) => s.t)",
            json!([55, 56, 57, 58, 59, 60])),
        ("a window does not reach back over a new run",
            "lastSeconds(poll((t) => t % 10, upTo(12)), 6).map((s) => s.t)", json!([10, 11, 12])),
        ("a poll that failed leaves a gap in the area and not in the true speed",
            "((s) => [s.instant, s.trueSpeed])(last(add(poll(steady, upTo(9)), \
                { t: 12, h: 48, gap: true })))", json!([null, 4])),
        ("a tab in the background that polls once a minute has a speed",
            "poll(steady, [0, 60, 120]).map((s) => s.instant)", json!([null, 4, 4])),
        ("where nobody looked for long there is a gap, and a new run",
            "((s) => [s.instant, s.trueSpeed])(last(poll(steady, [0, 1, 2, 92])))", gone.clone()),
        ("a counter that goes back begins a new run",
            "((s) => [s.instant, s.trueSpeed])(last(poll((t) => t % 10, upTo(10))))", gone.clone()),
        ("a counter that went back has no negative speed",
            "poll((t) => t % 10, upTo(50)).some((s) => s.instant < 0 || s.trueSpeed < 0)",
            json!(false)),
        ("a counter that went back has its speed again with the second sample",
            "((s) => [s.instant, s.trueSpeed])(last(poll((t) => t % 10, upTo(11))))",
            json!([1, 1])),
        ("a clock that is set back takes the past along",
            "add(poll(steady, [101, 102, 103]), { t: 50, h: 416 }).map((s) => s.t)",
            json!([47, 48, 49, 50])),
        ("a clock that is set back does not harm the speed",
            "last(add(poll(steady, [101, 102, 103]), { t: 50, h: 416 })).instant", json!(4)),
        ("a clock that stands still does not harm the speed",
            "last(poll(steady, [1, 2, 2])).instant", json!(0)),
        ("a clock that jumps ahead leaves a gap",
            "last(poll(steady, [1, 2, 7200])).instant", json!(null)),
        ("no more than 251 samples are kept", "poll(steady, upTo(400)).length", json!(251)),
        ("an axis ends a little above the highest", "ticks(3.3)", json!([0, 1, 2, 3, 4])),
        ("the highest does not touch the top", "ticks(4)", json!([0, 1, 2, 3, 4, 5])),
        ("an axis has round values", "ticks(10)", json!([0, 5, 10, 15])),
        ("a large axis has round values", "ticks(231)", json!([0, 100, 200, 300])),
        ("a small axis has round values", "ticks(0.07)", json!([0, 0.02, 0.04, 0.06, 0.08])),
        ("an answer is a sample", r#"read(200, '{"coins":1,"hashes":"12","now":5.5}')"#,
            json!({ "state": "live", "sample": { "t": 5.5, "h": 12, "coins": 1 } })),
        ("no counter yet is waiting", r#"read(200, '{"coins":0,"hashes":null,"now":5.5}')"#,
            json!({ "state": "waiting" })),
        ("503 with its reason is redis", r#"read(503, '{"error":"redis is away"}')"#,
            json!({ "state": "redis" })),
        ("503 of something else", "read(503, 'Service Unavailable')", webui.clone()),
        ("503 without a reason", "read(503, '{}')", webui.clone()),
        ("a failure of a proxy", "read(502, '<html>')", webui.clone()),
        ("another page", "read(200, '<html>')", webui.clone()),
        ("nothing", "read(200, '')", webui.clone()),
        ("null", "read(200, 'null')", webui.clone()),
        ("another status", r#"read(404, '{"coins":1,"hashes":"1","now":5}')"#, webui.clone()),
        ("no time", r#"read(200, '{"coins":1,"hashes":"1"}')"#, webui.clone()),
        ("a time in words", r#"read(200, '{"coins":1,"hashes":"1","now":"5"}')"#, webui.clone()),
        ("no coins", r#"read(200, '{"hashes":"1","now":5}')"#, webui.clone()),
        ("no hashes", r#"read(200, '{"coins":1,"now":5}')"#, webui.clone()),
        ("no digits", r#"read(200, '{"coins":1,"hashes":"1e3","now":5}')"#, webui.clone()),
        ("below zero", r#"read(200, '{"coins":1,"hashes":"-1","now":5}')"#, webui.clone()),
        ("an empty counter", r#"read(200, '{"coins":1,"hashes":"","now":5}')"#, webui),
    ]
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn an_hour_of_samples_costs_little_time_and_no_memory() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    page.value(
        "{
        const { add } = await import(new URL('speed.js', location));
        const { draw } = await import(new URL('graph.js', location));
        let samples = [];
        let t = 1e9;
        window.simulate = (seconds) => {
            const start = performance.now();
            for (let i = 0; i < seconds; i++) {
                t += 1;
                samples = add(samples, { t, h: 4 * Math.floor(t / 1.2), coins: 0 });
                draw(samples, t);
                find('plot').getBBox(); // not before that does the browser lay it out
            }
            return [samples.length, (performance.now() - start) / seconds];
        }; }",
    )
    .await;
    page.run("simulate(600)").await;
    let before = heap(&page).await;
    let simulated = page.run("return simulate(3600)").await;
    let growth = heap(&page).await - before;
    println!("{} ms a sample, {growth} bytes of growth", simulated[1]);
    assert_eq!(simulated[0], 251);
    assert!(growth < 500_000, "{growth} bytes of growth");
}

/// The bytes that the scripts of the page hold.
async fn heap(page: &Page) -> i64 {
    page.devtools("HeapProfiler.collectGarbage", json!({}))
        .await;
    let usage = page.devtools("Runtime.getHeapUsage", json!({})).await;
    #[allow(clippy::cast_possible_truncation)]
    let bytes = usage["usedSize"].as_f64().unwrap() as i64;
    bytes
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver"]
async fn the_picture_of_the_readme() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.resize(1280, 720).await;
    page.prefer("light").await;
    sleep(Duration::from_secs(45)).await;
    application.add_workers(9);
    sleep(Duration::from_secs(55)).await;
    page.until("state() === 'live' && number('true') > 9").await;
    let picture = env::var_os("PICTURE")
        .map_or_else(|| env::temp_dir().join("dockercoins.png"), PathBuf::from);
    page.save_picture(&picture).await;
    println!("the picture is {}", picture.display());
}
