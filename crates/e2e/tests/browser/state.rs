//! The states of the services, and the numbers: waiting, live, unavailable, back.

use e2e::{browser::Page, run, shell};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::application::{Application, Webui, files, proxy};

const REDIS_UNAVAILABLE: &str = "redis is unavailable: last known figures";

/// The speed as it is read.
const SPEED: &str = "find('speed').innerText.replace(/\\s+/g, ' ').trim()";

/// The words of the markers, from left to right.
const MARKERS: &str = "[...find('events').children].map((word) => word.textContent)";

#[tokio::test]
#[ignore = "needs a browser"]
async fn it_waits_for_the_first_units_and_then_its_numbers_move() {
    let application = Application::start(0).await;
    let page = Page::open(&application.url).await;
    page.until_state("waiting", "Waiting for the first units of work")
        .await;
    assert_eq!(page.get(SPEED).await, "Current mining speed: measuring");
    page.until("find('progress').value > 0.3 && find('progress').checkVisibility()")
        .await;
    assert_eq!(page.text("hashes").await, "0");

    application.add_workers(1);
    page.until_state("live", "Live").await;
    page.until("number('hashes') > 0").await;
    let hashes = page.number("hashes").await;
    page.until(&format!(
        "number('hashes') > {hashes} && number('average') > 0 && number('coins') >= 0"
    ))
    .await;
    page.until("number('true') > 0 && stretches('area') === 1")
        .await;
    let speed = format!(
        "Current mining speed: ~{} hashes/second",
        page.text("true").await
    );
    assert_eq!(page.get(SPEED).await, speed);
    assert_eq!(page.get("find('progress').checkVisibility()").await, false);
    assert_eq!(page.get(MARKERS).await, json!([]));
    assert_eq!(page.text("share").await, format!("{}/", application.url));
    assert_eq!(page.console().await, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_true_speed_is_the_mean_of_the_dips_and_follows_more_workers() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until("samples().length > 5").await;
    assert_eq!(page.get("stretches('line') + stretches('guess')").await, 0);

    page.until("samples().length > 25").await;
    // A busy machine is slower than 3.33.
    let wrong =
        "samples().filter((s) => s.known && Math.abs(s.trueSpeed / number('average') - 1) > 0.1)";
    assert_eq!(page.get(wrong).await, json!([]));
    // The counter moves by 4, or not at all.
    page.until("samples().some((s) => s.instant === 0)").await;
    page.until("samples().some((s) => s.instant > 3.5 && s.instant < 4.5)")
        .await;

    application.add_workers(9);
    page.until("!samples().at(-1).known").await;
    page.until("samples().at(-1).known && stretches('line') === 2 && number('true') > 7")
        .await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn it_names_the_server_and_marks_each_new_one_once() {
    let application = Application::start(0).await;
    let page = Page::open(&application.url).await;
    let version = env!("CARGO_PKG_VERSION");
    let host = run(&shell("hostname"));
    let server = format!("webui {version} on {}", host.trim());
    page.until(&format!("text('server') === {server:?}")).await;
    page.run(
        "window.load = fetch;
        window.fetch = async (...request) => {
            const response = await load(...request);
            const server = servers[window.polls++ % servers.length];
            return new Response(response.body, { headers: server ? { 'served-by': server } : {} });
        };",
    )
    .await;
    let two = [
        format!("webui {version} on a"),
        format!("webui {version} on b"),
    ];
    for (servers, last, markers) in [
        (json!(two), &*two[1], json!(["a", "b"])),
        (
            json!(["webui 1.5.0 on c"]),
            "webui 1.5.0 on c",
            json!(["a", "b", "v1.5.0"]),
        ),
        // The original's webui.
        (json!([]), "", json!(["a", "b", "v1.5.0"])),
    ] {
        page.run(&format!(
            "Object.assign(window, {{ servers: {servers}, polls: 0 }})"
        ))
        .await;
        page.until(&format!("polls > 4 && text('server') === {last:?}"))
            .await;
        assert_eq!(page.get(MARKERS).await, markers, "{servers}");
    }
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn below_another_path_the_page_works_and_has_a_history_of_its_own() {
    let application = Application::start(1).await;
    let below = proxy(&application.url, "/api/v1/services/webui/proxy").await;
    let page = Page::open(&format!("{below}/index.html")).await;
    page.until_state("live", "Live").await;
    page.until("number('hashes') > 0 && stretches('area') === 1")
        .await;
    assert_eq!(page.text("share").await, format!("{below}/"));
    assert_eq!(page.console().await, Vec::<String>::new());
    page.run("saved()").await;
    let keys = page.get("Object.keys(localStorage)").await;
    assert_eq!(
        keys,
        json!(["dockercoins /api/v1/services/webui/proxy/index.html"])
    );
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn without_redis_it_keeps_the_last_figures_and_a_new_redis_is_a_reset() {
    let mut application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.run("window.loaded = 'once'").await;
    page.until("number('true') > 0").await;
    let colour = "getComputedStyle(find('hashes')).color";
    let live = page.get(colour).await;

    application.stop_redis();
    page.until_state("redis", REDIS_UNAVAILABLE).await;
    let hashes = page.number("hashes").await;
    assert!(hashes >= 20.0, "{hashes}");
    assert!(page.number("true").await > 0.0);
    assert_ne!(page.get(colour).await, live, "not grey");
    assert_eq!(page.get(MARKERS).await, json!(["redis"]));

    application.start_redis().await;
    page.until_state("live", "Live").await;
    page.until("number('hashes') > 0 && stretches('area') === 2")
        .await;
    assert!(page.number("hashes").await < hashes);
    assert_eq!(page.text("true").await, "measuring", "not known yet");
    assert_eq!(page.get(MARKERS).await, json!(["redis", "reset"]));
    page.until("number('true') > 0").await;
    let rates = page
        .get("samples().flatMap((s) => [s.instant, s.trueSpeed])")
        .await;
    let negative = |rate: &Value| rate.as_f64().is_some_and(|rate| rate < 0.0);
    assert!(!rates.as_array().unwrap().iter().any(negative), "{rates}");
    assert_eq!(page.get("window.loaded").await, "once");
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_redis_that_does_not_answer_is_unavailable_too() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis = format!("redis://{}", silent.local_addr().unwrap());
    let webui = Webui::start(redis::Client::open(redis).unwrap(), &files()).await;
    let page = Page::open(&webui.url).await;
    page.until_state("redis", REDIS_UNAVAILABLE).await;
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn when_webui_is_back_the_page_goes_on_by_itself_and_shows_the_gap() {
    let application = Application::start(1).await;
    let mut webui = Webui::start(application.redis(), &files()).await;
    let page = Page::open(&webui.url).await;
    page.run("window.loaded = 'once'").await;
    page.until("number('hashes') >= 8 && stretches('area') === 1")
        .await;

    webui.stop().await;
    page.until_state("webui", "webui is unavailable: last known figures")
        .await;
    assert!(page.number("hashes").await >= 8.0);

    webui.restart().await;
    page.until_state("live", "Live").await;
    page.until("stretches('area') === 2").await;
    assert_eq!(page.get(MARKERS).await, json!(["webui", "back"]));
    assert_eq!(page.get("window.loaded").await, "once");

    // An outage that lasts over a reload is one.
    webui.stop().await;
    page.until("state() === 'webui'").await;
    page.run("document.dispatchEvent(new Event('visibilitychange'))")
        .await;
    webui.restart().await;
    page.reload().await;
    page.until_state("live", "Live").await;
    page.until("stretches('area') > 1").await;
    assert_eq!(
        page.get(MARKERS).await,
        json!(["webui", "back", "webui", "back"])
    );
}
