//! The graph: the area, the line, the axis, the markers.

use e2e::browser::Page;
use serde_json::json;

use crate::{application_with_history, page_with_history, steady};

const STEELBLUE: [u8; 3] = [70, 130, 180];
const TRUE_SPEED: [u8; 3] = [194, 65, 12];

/// The values of the upward axis.
const AXIS: &str = "[...find('rates').children].map((rate) => Number(rate.textContent))";

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_area_is_blue_and_the_line_can_be_switched_off() {
    let (_application, page) = page_with_history(300, steady).await;
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
#[ignore = "needs a browser"]
async fn before_and_after_a_change_are_on_one_axis_which_shows_that_it_changes() {
    // One worker for 600 seconds, then ten.
    let hashes = |n: u64| 4 * (10 * n / 12) + 7 * n.saturating_sub(600);
    let (_application, page) = page_with_history(700, hashes).await;
    assert_eq!(page.get(AXIS).await, json!([0, 5, 10, 15]));
    page.until("number('true') > 0").await;
    let highlighted = "find('rates').lastChild.getAnimations().length";
    page.until(&format!("{highlighted} === 0")).await;

    // To where there was one worker.
    page.wheel("graph", -900).await;
    page.until("state() === 'paused'").await;
    assert_eq!(page.get(AXIS).await, json!([0, 1, 2, 3, 4, 5]));
    assert_eq!(page.get(highlighted).await, 1, "the change is not seen");
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn no_marker_covers_another() {
    let page = Page::blank("light").await;
    let events: Vec<_> = (0..12)
        .map(
            |n| json!({ "ago": 200 - 3 * n, "word": (["redis", "reset", "webui", "back"][n % 4]) }),
        )
        .chain([
            json!({ "ago": 235, "word": "webui" }),
            json!({ "ago": 1, "word": "back" }),
        ])
        .collect();
    let events = json!(events);
    let _application = application_with_history(&page, 300, steady, events).await;
    for (width, height) in [(1280, 577), (390, 664)] {
        page.resize(width, height).await;
        page.press(" ").await;
        let wrong = page
            .run(
                "const box = (element) => element.getBoundingClientRect();
                const words = [...find('events').children];
                if (words.length !== 14) return `${words.length} words`;
                const graph = box(find('graph'));
                const covers = (a, b) => a !== b
                    && box(a).left < box(b).right - 0.5 && box(b).left < box(a).right - 0.5
                    && box(a).top < box(b).bottom - 0.5 && box(b).top < box(a).bottom - 0.5;
                return words
                    .filter((a) => words.some((b) => covers(a, b))
                        || box(a).left < graph.left - 0.5 || box(a).right > graph.right + 2.5
                        || box(a).bottom > graph.bottom)
                    .map((word) => word.textContent);",
            )
            .await;
        assert_eq!(wrong, json!([]), "{width} × {height}");
        page.press(" ").await;
    }
}
