//! webui as a browser meets it, over a socket.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use chassis::CancellationToken;
use memory_redis::{MemoryRedis, testing::TestRedis};
use redis::AsyncCommands;
use reqwest::{Client, Method, Response, StatusCode, redirect};
use serde_json::Value;
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

    /// For what does not need a store.
    async fn with_files(files: impl Into<PathBuf>) -> Self {
        Self::start("redis://127.0.0.1:1", files).await
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
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
        self.ask(Method::GET, path).await
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    async fn json(&self) -> Value {
        serde_json::from_str(&self.text("/json").await).unwrap()
    }

    /// The status line that a path gets which a client library would tidy up first.
    async fn status_of_raw(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: webui\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

/// A directory of this test, removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("dockercoins-{}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
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
async fn the_root_leads_to_the_page() {
    let response = Webui::with_files("none").await.get("/").await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "/index.html");
}

#[tokio::test]
async fn json_has_a_number_a_string_or_null_and_a_time() {
    let store = TestRedis::start().await;
    let webui = Webui::start(&store.url(), "none").await;
    let json = webui.json().await;
    assert_eq!(json["coins"], 0);
    assert_eq!(json["hashes"], Value::Null);
    let now = json["now"].as_f64().unwrap();
    let here = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((here - now).abs() < 60.0 && now.fract() > 0.0, "{now}");
    assert_eq!(json.as_object().unwrap().len(), 3);

    let client = redis::Client::open(store.url()).unwrap();
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
async fn a_file_on_disk_comes_first_and_an_edit_shows_at_the_next_reload() {
    let files = Directory::new("edit");
    let webui = Webui::with_files(&files.0).await;
    files.write("index.html", "one");
    let response = webui.get("/index.html").await;
    assert_eq!(response.headers()["content-type"], "text/html");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.text().await.unwrap(), "one");
    files.write("index.html", "two");
    assert_eq!(webui.text("/index.html").await, "two");
    files.write("more.txt", "three");
    assert_eq!(webui.text("/more.txt").await, "three");
}

#[tokio::test]
async fn what_is_not_on_disk_comes_from_the_program() {
    let empty = Directory::new("empty");
    for files in [empty.0.clone(), PathBuf::from("not/there")] {
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
async fn there_is_no_way_out_of_the_files() {
    let directory = Directory::new("inside");
    directory.write("secret.txt", "secret");
    fs::create_dir_all(directory.0.join("files")).unwrap();
    let webui = Webui::with_files(directory.0.join("files")).await;
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
            webui.status_of_raw(path).await,
            "HTTP/1.1 404 Not Found",
            "{path}"
        );
    }
    let long = "x".repeat(3000);
    assert_eq!(
        webui.status_of_raw(&format!("/{long}")).await,
        "HTTP/1.1 404 Not Found"
    );
}

#[tokio::test]
async fn only_get_and_head_are_allowed() {
    let webui = Webui::with_files("none").await;
    for path in ["/", "/json", "/index.html"] {
        let response = webui.ask(Method::POST, path).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert_eq!(
        webui.ask(Method::HEAD, "/index.html").await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_page_may_take_nothing_from_elsewhere() {
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

/// The page still comes, and `/json` says within 2 s that redis is away.
async fn says_that_redis_is_away(redis_url: &str) {
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
    assert!(
        json["error"]
            .as_str()
            .unwrap()
            .starts_with("redis is away: "),
        "{json}"
    );
    assert_eq!(webui.get("/index.html").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_redis_json_says_so() {
    says_that_redis_is_away("redis://127.0.0.1:1").await;
    says_that_redis_is_away("redis://no-such-host.invalid").await;
}

#[tokio::test]
async fn with_a_redis_that_does_not_answer_json_says_so() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    says_that_redis_is_away(&format!("redis://{}", silent.local_addr().unwrap())).await;
}

#[tokio::test]
async fn when_redis_comes_back_so_do_the_numbers() {
    let store = MemoryRedis::start().await.unwrap();
    let port = store.address().port();
    let webui = Webui::start(&store.url(), "none").await;
    assert_eq!(webui.get("/json").await.status(), StatusCode::OK);
    drop(store);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(
        webui.get("/json").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    let _new = MemoryRedis::start_on(port).await.unwrap();
    assert_eq!(webui.get("/json").await.status(), StatusCode::OK);
}
