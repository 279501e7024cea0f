//! Everything on one screen.

use std::fs;

use e2e::browser::Page;
use serde_json::json;
use tempfile::tempdir;

use crate::{
    application::{Webui, files},
    application_with_history, page_with_history, steady,
};

/// Common screens without the frame of the browser, and a phone, upright and lying.
const VIEWPORTS: [(u32, u32); 6] = [
    (1280, 577),
    (1366, 620),
    (1536, 730),
    (1920, 937),
    (390, 664),
    (844, 340),
];

/// A small phone, and the first viewport at 200 %.
const SMALL: [(u32, u32); 2] = [(320, 568), (640, 288)];

/// The elements that are outside of the viewport, overlap, or are misplaced.
const HIDDEN: &str = "
    const box = (id) => find(id).getBoundingClientRect();
    const size = (element) => parseFloat(getComputedStyle(element).fontSize);
    const { scrollWidth, scrollHeight } = document.documentElement;
    const wrong = ['state', 'pause', 'legend', 'graph', 'speed', 'average', 'hashes', 'coins']
        .filter((id) => box(id).left < 0 || box(id).top < 0 || box(id).width < 20
            || box(id).right > innerWidth + 0.5 || box(id).bottom > innerHeight + 0.5);
    if (scrollWidth > innerWidth || scrollHeight > innerHeight) wrong.push('it scrolls');
    const largest = Math.max(...[...document.querySelectorAll('body *')].map(size));
    if (size(find('true')) < largest || largest < 3 * size(document.body)) wrong.push('the speed is not the largest');
    const share = box('graph').width * box('graph').height / innerWidth / innerHeight;
    if (share < 0.3) wrong.push(`the graph takes ${share}`);
    const beside = box('result').left >= box('graph').right;
    const below = box('result').top >= box('graph').bottom;
    if (!(innerWidth > innerHeight ? beside : below)) wrong.push('the figures are elsewhere');
    return wrong;
";

/// The texts that overlap another one, or the button.
const OVERLAPS: &str = "
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
        const { parentElement: parent, data } = walker.currentNode;
        if (!data.trim() || ['announcement', 'readout'].includes(parent.id) || !parent.checkVisibility()) continue;
        const range = document.createRange();
        range.selectNodeContents(walker.currentNode);
        for (const rect of range.getClientRects()) texts.push({ text: data.trim(), rect });
    }
    if (texts.length < 20) return [`only ${texts.length} texts`];
    // A line of text is higher than its letters.
    const top = ({ top, height }) => top + height / 6;
    const bottom = ({ bottom, height }) => bottom - height / 6;
    const apart = ({ rect: a }, { rect: b }) => a.right <= b.left + 1 || b.right <= a.left + 1
        || bottom(a) <= top(b) || bottom(b) <= top(a);
    return texts.flatMap((a, i) => texts.slice(i + 1)
        .filter((b) => !apart(a, b)).map((b) => `${a.text} and ${b.text}`));
";

/// A page in one viewport after the other.
async fn everywhere(page: &Page, viewports: &[(u32, u32)], script: &str, state: &str) {
    for &(width, height) in viewports {
        page.resize(width, height).await;
        // The browser dispatches it only with the next frame.
        page.run("dispatchEvent(new Event('resize'))").await;
        let wrong = page.run(script).await;
        assert_eq!(wrong, json!([]), "{width} × {height}, {state}");
    }
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn everything_is_visible_without_scrolling_and_nothing_overlaps() {
    let page = Page::blank("light").await;
    let events = json!([{ "ago": 100, "word": "redis" }, { "ago": 95, "word": "reset" }]);
    let ten = |n: u64| 123_456 + 10 * n;
    let mut application = application_with_history(&page, 300, ten, events).await;
    let all = [&VIEWPORTS[..], &SMALL].concat();
    for state in ["live", "paused", "redis"] {
        match state {
            "paused" => page.press(" ").await,
            "redis" => {
                page.press(" ").await;
                application.stop_redis();
            }
            _ => {}
        }
        page.until(&format!("state() === {state:?}")).await;
        everywhere(&page, &VIEWPORTS, HIDDEN, state).await;
        everywhere(&page, &all, OVERLAPS, state).await;
    }
    // The largest counter that webui may tell.
    page.run(
        "find('hashes').textContent = '999,999,999,999,999'; \
        find('hashes').style.setProperty('--length', 19)",
    )
    .await;
    everywhere(&page, &VIEWPORTS, HIDDEN, "a large counter").await;
    everywhere(&page, &all, OVERLAPS, "a large counter").await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn at_the_first_load_it_looks_the_same() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    page.until("state() === 'redis'").await;
    everywhere(&page, &VIEWPORTS, HIDDEN, "without a sample").await;
    everywhere(&page, &SMALL, OVERLAPS, "without a sample").await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn while_it_measures_it_looks_the_same() {
    let (_application, page) = page_with_history(3, steady).await;
    page.press(" ").await;
    assert_eq!(page.text("true").await, "measuring");
    everywhere(&page, &VIEWPORTS, HIDDEN, "measuring").await;
    everywhere(&page, &SMALL, OVERLAPS, "measuring").await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn larger_numbers_and_a_larger_legend_break_nothing() {
    let edited = tempdir().unwrap();
    for file in fs::read_dir(files()).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let copy = edited.path().join(file.file_name());
        fs::write(copy, text.replace("15px", "50px")).unwrap();
    }
    let webui = Webui::without_redis(edited.path()).await;
    let page = Page::open(&webui.url).await;
    let smallest = "Math.min(...['blue', 'rates', 'times']
        .map((id) => parseFloat(getComputedStyle(find(id)).fontSize)))";
    page.until(&format!("{smallest} > 40")).await;
    everywhere(&page, &VIEWPORTS, OVERLAPS, "with larger numbers").await;
}
