//! webui over a socket.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::CancellationToken;
use memory_redis::{MemoryRedis, testing::TestRedis};
use redis::AsyncCommands;
use reqwest::{Client, Method, Response, StatusCode, redirect};
use serde_json::Value;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

struct Webui {
    address: String,
}

impl Webui {
    async fn start(redis_url: &str, files: impl Into<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let redis = redis::Client::open(redis_url).unwrap();
        tokio::spawn(webui::run(
            listener,
            redis,
            files.into(),
            CancellationToken::new(),
        ));
        Self { address }
    }

    /// Without Redis.
    async fn with_files(files: impl Into<PathBuf>) -> Self {
        Self::start("redis://127.0.0.1:1", files).await
    }

    async fn request(&self, method: Method, path: &str) -> Response {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        client
            .request(method, format!("http://{}{path}", self.address))
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).await
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    async fn json(&self) -> Value {
        serde_json::from_str(&self.text("/json").await).unwrap()
    }

    /// The status line for a path as it is: a client library would normalize it.
    async fn raw_status(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: webui\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response.lines().next().unwrap_or_default().to_owned()
    }
}

fn in_the_program(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("files")
            .join(name),
    )
    .unwrap()
}

#[tokio::test]
async fn the_root_redirects_to_the_page() {
    let response = Webui::with_files("none").await.get("/").await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "/index.html");
}

#[tokio::test]
async fn it_is_ready_while_redis_answers() {
    let redis = TestRedis::start().await;
    let webui = Webui::start(redis.url(), "none").await;
    assert_eq!(webui.text("/readyz").await, "ready\n");

    let webui = Webui::with_files("none").await;
    let response = webui.get("/readyz").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reason = response.text().await.unwrap();
    let start = "not ready: redis is away: cannot connect to redis: ";
    assert!(reason.starts_with(start), "{reason}");
    assert_eq!(webui.text("/healthz").await, "ok\n");
}

#[tokio::test]
async fn json_has_a_number_a_string_or_null_and_a_time() {
    let test_redis = TestRedis::start().await;
    let webui = Webui::start(test_redis.url(), "none").await;
    let json = webui.json().await;
    assert_eq!(json["coins"], 0);
    assert_eq!(json["hashes"], Value::Null);
    let now = json["now"].as_f64().unwrap();
    let here = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((here - now).abs() < 60.0 && now.fract() > 0.0, "{now}");
    assert_eq!(json.as_object().unwrap().len(), 3);

    let client = redis::Client::open(test_redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let _: i64 = redis.incr("hashes", 42).await.unwrap();
    let _: i64 = redis.hset("wallet", "0abc", "32 bytes").await.unwrap();
    let response = webui.get("/json").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.unwrap();
    assert!(
        text.starts_with(r#"{"coins":1,"hashes":"42","now":"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_on_disk_takes_precedence_and_an_edit_shows_at_the_next_reload() {
    let files = tempdir().unwrap();
    let write = |name, text| fs::write(files.path().join(name), text).unwrap();
    let webui = Webui::with_files(files.path()).await;
    write("index.html", "one");
    let response = webui.get("/index.html").await;
    assert_eq!(response.headers()["content-type"], "text/html");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.text().await.unwrap(), "one");
    write("index.html", "two");
    assert_eq!(webui.text("/index.html").await, "two");
    write("more.txt", "three");
    assert_eq!(webui.text("/more.txt").await, "three");
}

#[tokio::test]
async fn a_file_that_is_not_on_disk_comes_from_the_program() {
    let empty = tempdir().unwrap();
    for files in [empty.path(), Path::new("not/there")] {
        let webui = Webui::with_files(files).await;
        for (name, kind) in [
            ("index.html", "text/html"),
            ("script.js", "text/javascript"),
            ("style.css", "text/css"),
        ] {
            let response = webui.get(&format!("/{name}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(response.headers()["content-type"], kind, "{name}");
            assert_eq!(response.text().await.unwrap(), in_the_program(name));
        }
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_files() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("secret.txt"), "secret").unwrap();
    let files = directory.path().join("files");
    fs::create_dir(&files).unwrap();
    let webui = Webui::with_files(files).await;
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/index.html%00",
        "/./../secret.txt",
        "/%ff",
        "/files/../../secret.txt",
    ] {
        assert_eq!(
            webui.raw_status(path).await,
            "HTTP/1.1 404 Not Found",
            "{path}"
        );
    }
    let long = "x".repeat(3000);
    assert_eq!(
        webui.raw_status(&format!("/{long}")).await,
        "HTTP/1.1 404 Not Found"
    );
}

#[tokio::test]
async fn only_get_and_head_are_allowed() {
    let webui = Webui::with_files("none").await;
    for path in ["/", "/json", "/index.html"] {
        let response = webui.request(Method::POST, path).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert_eq!(
        webui.request(Method::HEAD, "/index.html").await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_content_security_policy_allows_nothing_from_elsewhere() {
    let webui = Webui::with_files("none").await;
    for path in ["/", "/index.html", "/json", "/not-there"] {
        let response = webui.get(path).await;
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{path}"
        );
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
}

/// `/json` is 503 within 2 s, and the page still loads.
async fn is_503(redis_url: &str) {
    let webui = Webui::start(redis_url, "none").await;
    let start = Instant::now();
    let response = webui.get("/json").await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["content-type"], "application/json");
    let json: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let error = json["error"].as_str().unwrap();
    assert!(error.starts_with("redis is away: "), "{error}");
    let causes: Vec<_> = error.split(": ").collect();
    let distinct: HashSet<_> = causes.iter().collect();
    assert_eq!(causes.len(), distinct.len(), "{error}");
    assert_eq!(webui.get("/index.html").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_redis_json_is_503() {
    is_503("redis://127.0.0.1:1").await;
    is_503("redis://no-such-host.invalid").await;
}

#[tokio::test]
async fn with_a_redis_that_does_not_reply_json_is_503() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    is_503(&format!("redis://{}", silent.local_addr().unwrap())).await;
}

#[tokio::test]
async fn json_recovers_with_redis() {
    let memory = MemoryRedis::start().await.unwrap();
    let port = memory.address().port();
    let webui = Webui::start(&memory.url(), "none").await;
    assert_eq!(webui.get("/json").await.status(), StatusCode::OK);
    drop(memory);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(
        webui.get("/json").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    let _new = MemoryRedis::start_on(port).await.unwrap();
    assert_eq!(webui.get("/json").await.status(), StatusCode::OK);
}
