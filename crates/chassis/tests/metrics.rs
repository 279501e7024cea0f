//! `/metrics` over a socket.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, future::pending, time::Duration};

use axum::{Router, routing::get};
use chassis::{CancellationToken, Metrics, serve, serve_metrics};
use reqwest::{Client, Method, StatusCode};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

async fn run(listener: TcpListener) {
    let router = Router::new()
        .route("/", get("index"))
        .route("/item/{n}", get("item"))
        .route("/wait", get(pending::<()>))
        .fallback(async || StatusCode::NOT_FOUND);
    let metrics = Metrics::new("test");
    serve(listener, router, metrics, CancellationToken::new()).await;
}

/// Its URL, without a slash at the end.
async fn start<R>(run: impl FnOnce(TcpListener) -> R) -> String
where
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(run(listener));
    url
}

async fn ask(method: &str, url: &str) -> (u16, String) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let response = Client::new().request(method, url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn metrics(url: &str) -> String {
    ask("GET", &format!("{url}/metrics")).await.1
}

#[tokio::test]
async fn requests_are_counted_by_bounded_routes_and_methods_and_by_status() {
    let url = start(run).await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/item/1"),
        ("GET", "/item/2"),
        ("GET", "/no/such"),
        ("GET", "/nor/that"),
        ("BREW", "/"),
        ("MINE", "/"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
    ] {
        ask(method, &format!("{url}{path}")).await;
    }
    let metrics = metrics(&url).await;
    let mut counts: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("http_request_duration_seconds_count"))
        .collect();
    counts.sort_unstable();
    let expected = [
        r#"{route="/",method="GET",status="200"} 1"#,
        r#"{route="/",method="other",status="405"} 2"#,
        r#"{route="/item/{n}",method="GET",status="200"} 2"#,
        r#"{route="other",method="GET",status="404"} 2"#,
    ];
    assert_eq!(counts, expected);
    let build = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n");
    let build = format!("dockercoins_build_info{{service=\"test\",{build}");
    assert!(metrics.contains(&build), "{metrics}");
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_client_disconnects() {
    let url = start(run).await;
    let until = async |sample| {
        let until = async {
            while !metrics(&url).await.contains(sample) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), until).await.unwrap();
    };
    let waiting = tokio::spawn(Client::new().get(format!("{url}/wait")).send());
    until("\nhttp_requests_in_flight 1\n").await;
    waiting.abort();
    until("\nhttp_requests_in_flight 0\n").await;
}

#[tokio::test]
async fn a_port_for_metrics_alone_answers_everything_else_with_a_plain_error() {
    let url =
        start(|listener| serve_metrics(listener, Metrics::new("test"), CancellationToken::new()))
            .await;
    let not_found = (404, "not found: the metrics are at /metrics\n");
    for (method, path, answer) in [
        ("GET", "/healthz", (200, "ok\n")),
        ("GET", "/", not_found),
        ("POST", "/metrics", (405, "method not allowed: GET\n")),
    ] {
        let (status, text) = ask(method, &format!("{url}{path}")).await;
        assert_eq!((status, &*text), answer, "{method} {path}");
    }
    let response = reqwest::get(format!("{url}/metrics")).await.unwrap();
    let content_type = &response.headers()["content-type"];
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
}

// Fails without the exemplar, with one of a trace that is not sampled, and when Accept is ignored.
#[tokio::test]
async fn openmetrics_names_the_sampled_trace_of_a_request() {
    let url = start(run).await;
    let [sampled, other] = [
        "0af7651916cd43dd8448eb211c80319c",
        "1af7651916cd43dd8448eb211c80319c",
    ];
    for (path, id, flags) in [("", sampled, "01"), ("/item/1", other, "00")] {
        let request = Client::new().get(format!("{url}{path}"));
        let trace = format!("00-{id}-b7ad6b7169203331-{flags}");
        request.header("traceparent", trace).send().await.unwrap();
    }
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2,*/*;q=0.1";
    let request = Client::new().get(format!("{url}/metrics"));
    let response = request.header("accept", prometheus).send().await.unwrap();
    let content_type = &response.headers()["content-type"];
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let text = response.text().await.unwrap();
    let exemplar = format!(" # {{trace_id=\"{sampled}\"}} ");
    assert_eq!(text.matches(&exemplar).count(), 1, "{text}");
    assert!(
        !text.contains(other) && text.ends_with("\n# EOF\n"),
        "{text}"
    );
    assert!(!metrics(&url).await.contains(sampled));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_is_measured() {
    let metrics = metrics(&start(run).await).await;
    let samples: HashMap<_, f64> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("process_")?.split_once(' '))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let started = samples["start_time_seconds"];
    let age = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - started;
    for (name, value, expected) in [
        ("CPU", samples["cpu_seconds_total"], 0.0..60.0),
        ("bytes", samples["resident_memory_bytes"], 1e6..1e9),
        ("files", samples["open_fds"], 4.0..1000.0),
        ("age", age, 0.0..600.0),
    ] {
        assert!(expected.contains(&value), "{name}: {value}");
    }
}
