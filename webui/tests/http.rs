//! webui over a socket.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, time::Duration};

use chassis::CancellationToken;
use memory_redis::{MemoryRedis, testing::TestRedis};
use redis::AsyncCommands;
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// The page in this repository.
const FILES: &str = "files";

const NO_REDIS: &str = "redis://127.0.0.1:1";

struct Webui {
    address: String,
}

impl Webui {
    async fn start(redis_url: &str, files: impl AsRef<Path>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let redis = redis::Client::open(redis_url).unwrap();
        let page = webui::page(files.as_ref());
        let stop = CancellationToken::new();
        tokio::spawn(webui::run(listener, redis, page, stop));
        Self { address }
    }

    async fn request(&self, method: Method, path: &str) -> Response {
        let client = Client::builder().redirect(redirect::Policy::none());
        let url = format!("http://{}{path}", self.address);
        let request = client.build().unwrap().request(method, url);
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).await
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    /// The response to a path as it is: a client library would normalize it.
    async fn raw(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: webui\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }
}

#[tokio::test]
async fn it_is_ready_while_redis_answers() {
    let redis = TestRedis::start().await;
    let webui = Webui::start(redis.url(), FILES).await;
    assert_eq!(webui.text("/readyz").await, "ready\n");

    let webui = Webui::start(NO_REDIS, FILES).await;
    let response = webui.get("/readyz").await;
    assert_eq!(response.status(), 503);
    let reason = response.text().await.unwrap();
    let start = "not ready: redis is unavailable: cannot connect to 127.0.0.1:1: ";
    assert!(reason.starts_with(start), "{reason}");
    assert_eq!(webui.text("/healthz").await, "ok\n");
}

#[tokio::test]
async fn json_has_a_number_a_string_or_null_and_a_time() {
    let test_redis = TestRedis::start().await;
    let webui = Webui::start(test_redis.url(), FILES).await;
    let json: Value = serde_json::from_str(&webui.text("/json").await).unwrap();
    let now = json["now"].as_f64().unwrap();
    let here = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((here - now).abs() < 60.0 && now.fract() > 0.0, "{now}");
    let expected = serde_json::json!({ "coins": 0, "hashes": null, "now": now });
    assert_eq!(json, expected);

    let client = redis::Client::open(test_redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let () = redis.set("hashes", 42).await.unwrap();
    let () = redis.hset("wallet", "0abc", "32 bytes").await.unwrap();
    let response = webui.get("/json").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.unwrap();
    let start = r#"{"coins":1,"hashes":"42","now":"#;
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn every_answer_names_the_server_and_forbids_caches_and_resources_from_elsewhere() {
    let host = gethostname::gethostname().into_string().unwrap();
    let server = format!("webui {} on {host}", env!("CARGO_PKG_VERSION"));
    let webui = Webui::start(NO_REDIS, FILES).await;
    for (method, path, status, kind) in [
        (Method::GET, "/", 302, ""),
        (Method::GET, "/index.html", 200, "text/html"),
        (Method::GET, "/script.js", 200, "text/javascript"),
        (Method::GET, "/style.css", 200, "text/css"),
        (Method::HEAD, "/favicon.svg", 200, "image/svg+xml"),
        (Method::GET, "/json", 503, "application/json"),
        (Method::GET, "/not-there", 404, "text/plain; charset=utf-8"),
        (Method::POST, "/", 405, ""),
        (Method::POST, "/json", 405, ""),
        (Method::POST, "/index.html", 405, ""),
    ] {
        let response = webui.request(method.clone(), path).await;
        assert_eq!(response.status(), status, "{method} {path}");
        let headers = response.headers();
        let content_type = headers.get("content-type");
        let content_type = content_type.map_or("", |kind| kind.to_str().unwrap());
        assert_eq!(content_type, kind, "{method} {path}");
        assert_eq!(headers["served-by"], server);
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let policy = headers["content-security-policy"].to_str().unwrap();
        let start = "default-src 'none'; script-src 'self'; style-src 'self'; ";
        assert!(policy.starts_with(start), "{policy}");
    }
    let redirect = webui.get("/").await;
    assert_eq!(redirect.headers()["location"], "/index.html");
}

#[tokio::test]
async fn an_edit_of_a_file_shows_at_the_next_reload() {
    let files = tempdir().unwrap();
    let webui = Webui::start(NO_REDIS, files.path()).await;
    for text in ["one", "two"] {
        fs::write(files.path().join("index.html"), text).unwrap();
        assert_eq!(webui.text("/index.html").await, text);
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_files() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("secret.txt"), "secret").unwrap();
    let files = directory.path().join("files");
    fs::create_dir(&files).unwrap();
    let webui = Webui::start(NO_REDIS, files).await;
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
        let response = webui.raw(path).await;
        let not_found = response.starts_with("HTTP/1.1 404 Not Found\r\n");
        assert!(not_found, "{path}: {response}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_older_than_1970_is_an_error_and_the_next_one_is_served() {
    let files = tempdir().unwrap();
    let old = fs::File::create(files.path().join("old.txt")).unwrap();
    let second = Duration::from_secs(1);
    old.set_modified(std::time::UNIX_EPOCH - second).unwrap();
    fs::write(files.path().join("new.txt"), "new").unwrap();
    let webui = Webui::start(NO_REDIS, files.path()).await;
    assert_eq!(webui.get("/old.txt").await.status(), 500);
    assert_eq!(webui.text("/new.txt").await, "new");
}

#[tokio::test]
async fn without_redis_json_is_503_within_2_s_with_each_cause_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let unknown = "no-such-host.invalid";
    for (redis, cause) in [
        ("127.0.0.1:1", "127.0.0.1:1: Connection refused"),
        (unknown, "no-such-host.invalid:6379: failed to lookup"),
        (&silent.to_string(), &format!("{silent}: timed out")),
    ] {
        let webui = Webui::start(&format!("redis://{redis}"), FILES).await;
        let start = Instant::now();
        let response = webui.get("/json").await;
        assert!(start.elapsed() < Duration::from_secs(2), "{redis}");
        assert_eq!(response.status(), 503);
        let json: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let error = json["error"].as_str().unwrap();
        let start = format!("redis is unavailable: cannot connect to {cause}");
        assert!(error.starts_with(&start), "{error}");
        assert_eq!(error.matches(cause).count(), 1, "{error}");
        assert_eq!(webui.get("/index.html").await.status(), 200);
    }
}

#[tokio::test]
async fn json_recovers_with_redis() {
    let memory = MemoryRedis::start().await.unwrap();
    let port = memory.address().port();
    let webui = Webui::start(&memory.url(), FILES).await;
    assert_eq!(webui.get("/json").await.status(), 200);
    drop(memory);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(webui.get("/json").await.status(), 503);
    let _new = MemoryRedis::start_on(port).await.unwrap();
    assert_eq!(webui.get("/json").await.status(), 200);
}
