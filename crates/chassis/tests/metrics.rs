//! `/metrics` over a socket.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    future::pending,
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Result, ensure};
use axum::{Router, routing::get};
use chassis::{CancellationToken, Metrics, Program, serve, serve_metrics};
use hostile::{ServerUnderTest, get as get_request, requests, send, send_then_half_close, targets};
use reqwest::{Client, Method, StatusCode};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

const PROGRAM: Program = Program {
    name: "test",
    version: "1.2.3",
    about: "",
    variables: &[],
};

async fn run(listener: TcpListener) {
    let router = Router::new()
        .route("/", get("index"))
        .route("/item/{n}", get("item"))
        .route("/wait", get(pending::<()>))
        .fallback(async || StatusCode::NOT_FOUND);
    let metrics = Metrics::new(&PROGRAM);
    serve(listener, router, metrics, CancellationToken::new()).await;
}

async fn run_metrics_only(listener: TcpListener) {
    let metrics = Metrics::new(&PROGRAM);
    serve_metrics(listener, metrics, CancellationToken::new()).await;
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

async fn text(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// The samples, by name and labels.
fn samples(text: &str) -> HashMap<&str, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|sample| sample.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_status_in_the_text_format() {
    let url = start(run).await;
    for path in [
        "/", "/item/1", "/item/2", "/no/such", "/healthz", "/metrics",
    ] {
        text(&format!("{url}{path}")).await;
    }
    let unknown = Method::from_bytes(b"BREW").unwrap();
    let unknown = Client::new().request(unknown, &url).send().await;
    assert_eq!(unknown.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let response = reqwest::get(format!("{url}/metrics")).await.unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.contains("\n# TYPE http_request_duration_seconds histogram\n"));
    let samples = samples(&text);
    let count =
        |labels: &str| samples.get(&*format!("http_request_duration_seconds_count{labels}"));
    assert_eq!(
        count(r#"{route="/",method="GET",status="200"}"#),
        Some(&1.0)
    );
    assert_eq!(
        count(r#"{route="/item/{n}",method="GET",status="200"}"#),
        Some(&2.0)
    );
    assert_eq!(
        count(r#"{route="other",method="GET",status="404"}"#),
        Some(&1.0)
    );
    assert_eq!(
        count(r#"{route="/",method="other",status="405"}"#),
        Some(&1.0)
    );
    // Nothing else is measured.
    let counts = samples
        .keys()
        .filter(|name| name.contains("_seconds_count"));
    assert_eq!(counts.count(), 4);
    let build = r#"dockercoins_build_info{service="test",version="1.2.3"} 1"#;
    assert!(text.contains(build), "{text}");
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_client_disconnects() {
    let url = start(run).await;
    let metrics = format!("{url}/metrics");
    let until = async |sample| {
        while !text(&metrics).await.contains(sample) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let until = async |sample| {
        timeout(Duration::from_secs(5), until(sample))
            .await
            .unwrap();
    };
    let waiting = tokio::spawn(Client::new().get(format!("{url}/wait")).send());
    until("\nhttp_requests_in_flight 1\n").await;
    waiting.abort();
    until("\nhttp_requests_in_flight 0\n").await;
}

#[test]
fn hostile_requests_add_no_labels() {
    let server = ServerUnderTest::start("/metrics", run);
    server.survives(
        10,
        requests(targets(&["", "item", "1"])),
        |server, pieces| async move {
            send_then_half_close(server, &pieces).await?;
            let response = send(server, &[get_request("/metrics")]).await?;
            ensure_bounded(str::from_utf8(response.body())?)
        },
    );
}

fn ensure_bounded(text: &str) -> Result<()> {
    let labels = samples(text)
        .into_keys()
        .filter_map(|name| name.strip_prefix("http_request_duration_seconds_count{route="))
        .map(|labels| labels.split([',', '}']).collect::<Vec<_>>())
        .collect::<BTreeSet<_>>();
    for labels in &labels {
        let routes = ["\"/\"", "\"/item/{n", "\"/wait\"", "\"other\""];
        ensure!(routes.contains(&labels[0]), "{labels:?}");
        let methods = "GET HEAD POST PUT PATCH DELETE OPTIONS other".split(' ');
        let mut methods = methods.map(|method| format!("method=\"{method}\""));
        ensure!(
            methods.any(|method| labels.contains(&&*method)),
            "{labels:?}"
        );
    }
    ensure!(labels.len() <= 40, "{} labels: {labels:?}", labels.len());
    Ok(())
}

#[tokio::test]
async fn a_port_for_metrics_alone_answers_everything_else_with_a_plain_error() {
    let url = start(run_metrics_only).await;
    let ask = async |method: Method, path: &str, accept: &str| {
        let request = Client::new().request(method, format!("{url}{path}"));
        let response = request.header("accept", accept).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    for accept in [
        "*/*",
        "application/openmetrics-text; version=1.0.0",
        "nonsense",
    ] {
        let (status, text) = ask(Method::GET, "/metrics", accept).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.starts_with("# HELP dockercoins_build_info "), "{text}");
    }
    assert_eq!(ask(Method::GET, "/healthz", "").await.1, "ok\n");
    let not_found = "not found: the metrics are at /metrics\n".to_owned();
    for path in ["/", "/metrics/", "/Metrics", "/readyz"] {
        let answer = ask(Method::GET, path, "").await;
        assert_eq!(answer, (StatusCode::NOT_FOUND, not_found.clone()), "{path}");
    }
    let not_allowed = "method not allowed: GET\n".to_owned();
    for method in [Method::POST, Method::DELETE, Method::TRACE] {
        let answer = ask(method, "/metrics", "").await;
        assert_eq!(
            answer,
            (StatusCode::METHOD_NOT_ALLOWED, not_allowed.clone())
        );
    }
}

#[test]
fn a_port_for_metrics_alone_survives_arbitrary_bytes() {
    async fn disconnect(server: SocketAddr, pieces: Vec<Vec<u8>>) -> Result<()> {
        send_then_half_close(server, &pieces).await.map(drop)
    }
    let server = ServerUnderTest::start("/metrics", run_metrics_only);
    server.survives(10, requests(targets(&["metrics", "healthz"])), disconnect);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_is_measured() {
    let url = format!("{}/metrics", start(run).await);
    let before = text(&url).await;
    let before = samples(&before);
    let memory = vec![1_u8; 64 << 20];
    let files = [(); 300].map(|()| File::open("/proc/self/stat").unwrap());
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(200) {}
    let after = text(&url).await;
    let after = samples(&after);
    let more = |name| after[name] - before[name];
    assert!(more("process_cpu_seconds_total") >= 0.05);
    let grown = more("process_resident_memory_bytes") / f64::from(1 << 20);
    assert!((60.0..100.0).contains(&grown), "{grown} MiB");
    // Other tests open and close connections meanwhile.
    assert!(more("process_open_fds") >= 100.0);
    drop((memory, files));
    let age = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
        - after["process_start_time_seconds"];
    assert!((0.0..600.0).contains(&age), "{age} s");
}
