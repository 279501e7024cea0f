//! webui under hostile input. A short run by default; a quarter of a million inputs each:
//!
//!     PROPTEST_CASES=4000 cargo test --release -p webui --test hostile
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use axum::http::Response;
use chassis::CancellationToken;
use hostile::{
    ServerUnderTest, check, ensure_one_line, get, literal, requests, send, send_then_half_close,
    targets, values,
};
use memory_redis::MemoryRedis;
use tempfile::{TempDir, tempdir};
use webui::Config;

const CASES: u32 = 10;

/// Content of a file outside `files/`, to which links inside lead.
const SECRET: &str = "the secret beside the files";

/// Content of the files in `files/`.
const INSIDE: &str = "inside ";

const NAMES: &[&str] = &[
    "index.html",
    "old.txt",
    "fifo",
    "script.js",
    "json",
    "secret.txt",
    "files",
    "directory",
    "directory/inside.txt",
    "odd name.txt",
    "100%.txt",
    "%2e%2e",
    "ü.txt",
    ".hidden",
    "a..b",
    "empty",
    "link",
    "links",
    "links/secret.txt",
    "itself",
    "within",
];

/// A directory with `files/` and a secret beside it.
fn directory() -> TempDir {
    let directory = tempdir().unwrap();
    let files = directory.path().join("files");
    fs::create_dir_all(files.join("directory")).unwrap();
    fs::create_dir(files.join("empty")).unwrap();
    fs::write(directory.path().join("secret.txt"), SECRET).unwrap();
    for name in [
        "index.html",
        "directory/inside.txt",
        "odd name.txt",
        "100%.txt",
        "%2e%2e",
        "ü.txt",
        ".hidden",
        "a..b",
    ] {
        fs::write(files.join(name), format!("{INSIDE}{name}")).unwrap();
    }
    #[cfg(unix)]
    for (link, target) in [
        ("link", "../secret.txt"),
        ("links", ".."),
        ("itself", "itself"),
        ("within", "index.html"),
    ] {
        std::os::unix::fs::symlink(target, files.join(link)).unwrap();
    }
    // ServeDir panics over a file older than 1970 and hangs at a pipe.
    let old = fs::File::create(files.join("old.txt")).unwrap();
    (&old).write_all(INSIDE.as_bytes()).unwrap();
    old.set_modified(UNIX_EPOCH - Duration::from_secs(1))
        .unwrap();
    #[cfg(unix)]
    Command::new("mkfifo")
        .arg(files.join("fifo"))
        .status()
        .unwrap();
    directory
}

fn webui(files: PathBuf) -> ServerUnderTest {
    ServerUnderTest::start("/index.html", |listener| async {
        let memory = MemoryRedis::start().await.unwrap();
        let redis = redis::Client::open(memory.url()).unwrap();
        webui::run(listener, redis, files, CancellationToken::new()).await;
    })
}

#[test]
fn arbitrary_bytes_cause_no_panic_5xx_or_hang_and_never_return_the_secret() {
    let directory = directory();
    let webui = webui(directory.path().join("files"));
    webui.survives(CASES, requests(targets(NAMES)), disconnect);
}

async fn disconnect(webui: SocketAddr, pieces: Vec<Vec<u8>>) -> Result<()> {
    let received = send_then_half_close(webui, &pieces).await?;
    let request = || literal(&pieces.concat());
    let secret = contains(&received.bytes, SECRET.as_bytes());
    ensure!(!secret, "{} returns the secret", request());
    match &received.response {
        Some(response) => check_headers(response).with_context(request),
        None => Ok(()),
    }
}

#[test]
fn a_path_returns_a_file_in_the_files_or_none() {
    let directory = directory();
    let webui = webui(directory.path().join("files"));
    webui.survives(CASES, targets(NAMES), request);
}

async fn request(webui: SocketAddr, path: Vec<u8>) -> Result<()> {
    let response = send(webui, &[get(&path)]).await?;
    check_headers(&response)
        .and_then(|()| check_body(&response))
        .with_context(|| literal(&path))
}

fn check_body(response: &Response<Vec<u8>>) -> Result<()> {
    let body = response.body();
    let is_file = || body.starts_with(INSIDE.as_bytes()) || embedded(body);
    match response.status().as_u16() {
        200 if is_file() || body.starts_with(b"{\"coins\":0,") => Ok(()),
        // Redis shares a busy machine with all these clients.
        503 if body.starts_with(b"{\"error\":\"redis is away: ") => Ok(()),
        302 | 307 | 400 | 404 | 405 if !contains(body, SECRET.as_bytes()) => Ok(()),
        status => bail!("status {status}: {}", literal(body)),
    }
}

/// Is this one of the files in the program?
fn embedded(body: &[u8]) -> bool {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
    let mut files = fs::read_dir(files).unwrap();
    files.any(|file| fs::read(file.unwrap().path()).unwrap() == body)
}

/// A redirect stays on this service, and each response has the headers that protect the page. hyper
/// rejects a malformed request by itself, without a body to protect.
fn check_headers(response: &Response<Vec<u8>>) -> Result<()> {
    let headers = response.headers();
    if let Some(location) = headers.get("location") {
        let location = location.to_str()?;
        let here = location.starts_with('/') && !location.starts_with("//");
        ensure!(here, "a redirect to elsewhere: {location}");
    }
    let rejected = matches!(response.status().as_u16(), 400 | 414 | 431)
        && !headers.contains_key("content-type")
        && headers
            .get("content-length")
            .is_none_or(|length| length == "0");
    for name in [
        "content-security-policy",
        "referrer-policy",
        "x-content-type-options",
        "cache-control",
    ] {
        ensure!(rejected || headers.contains_key(name), "no {name}");
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn any_value_of_files_is_a_path_or_refused_in_one_line() {
    const WORDS: &[&str] = &[
        "files",
        "/files",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ];
    check(100 * CASES, &values(WORDS), |value| {
        let env = |asked: &str| (asked == "FILES").then(|| value.clone());
        match Config::from_env(&env) {
            Ok(config) if value.is_empty() => assert_eq!(config.files, Path::new("files")),
            Ok(config) => assert_eq!(config.files, Path::new(&value)),
            Err(invalid) => ensure_one_line(&invalid.to_string(), "FILES", &value)?,
        }
        Ok(())
    });
}
