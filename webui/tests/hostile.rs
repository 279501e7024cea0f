//! webui under attack. Short runs, as long as a test may take; a quarter of a million inputs each:
//!
//!     PROPTEST_CASES=4000 cargo test --release -p webui --test hostile
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, UNIX_EPOCH},
};

use chassis::CancellationToken;
use hostile::{
    Attacked, Head, Outcome, ask, attack, get, hold, hostile, is_one_line, show, targets, values,
};
use memory_redis::MemoryRedis;
use webui::Config;

const CASES: u32 = 10;

/// Lies beside `files/`, and where links out of it lead. No answer may have it.
const SECRET: &str = "the secret beside the files";

/// What is in the files on disk.
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

/// A directory with `files/` and a secret in it, removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("dockercoins-{}-{name}", process::id()));
        let directory = Self(path);
        let files = directory.files();
        fs::create_dir_all(files.join("directory")).unwrap();
        fs::create_dir(files.join("empty")).unwrap();
        fs::write(directory.0.join("secret.txt"), SECRET).unwrap();
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
        // They took ServeDir, which was here before, to a panic and to a wait without an end.
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

    fn files(&self) -> PathBuf {
        self.0.join("files")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn webui(files: PathBuf) -> Attacked {
    Attacked::start("/index.html", |listener| async {
        let store = MemoryRedis::start().await.unwrap();
        let redis = redis::Client::open(store.url()).unwrap();
        webui::run(listener, redis, files, CancellationToken::new()).await;
    })
}

#[test]
fn whatever_bytes_come_it_does_not_panic_fail_or_hang_or_tell_the_secret() {
    let directory = Directory::new("bytes");
    webui(directory.files()).survives(CASES, hostile(targets(NAMES)), attack_it);
}

async fn attack_it(webui: SocketAddr, pieces: Vec<Vec<u8>>) -> Outcome {
    let answer = attack(webui, &pieces).await?;
    let request = || show(&pieces.concat());
    if contains(&answer.bytes, SECRET.as_bytes()) {
        return Err(format!("{} gets the secret", request()));
    }
    for head in &answer.heads {
        is_well_behaved(head).map_err(|error| format!("{} is answered by {error}", request()))?;
    }
    Ok(())
}

#[test]
fn a_path_leads_to_what_lies_in_the_files_or_nowhere() {
    let directory = Directory::new("paths");
    webui(directory.files()).survives(CASES, targets(NAMES), ask_it);
}

async fn ask_it(webui: SocketAddr, path: Vec<u8>) -> Outcome {
    let answer = ask(webui, &[get(&path)]).await?;
    let wrong = |error: &str| {
        Err(format!(
            "{} is answered by {error}: {}",
            show(&path),
            show(&answer.bytes)
        ))
    };
    let [head] = &answer.heads[..] else {
        return wrong("none or many");
    };
    if let Err(error) = is_well_behaved(head) {
        return wrong(&error);
    }
    let body = answer.body();
    let is_a_file = || {
        body.starts_with(INSIDE.as_bytes()) || embedded(body) || body.starts_with(b"{\"coins\":0,")
    };
    match head.status {
        200 if is_a_file() => Ok(()),
        // The store shares a busy machine with all these clients.
        503 if body.starts_with(b"{\"error\":\"redis is away: ") => Ok(()),
        302 | 307 | 400 | 404 | 405 => {
            if contains(body, SECRET.as_bytes()) {
                wrong("the secret")
            } else {
                Ok(())
            }
        }
        _ => wrong("something else"),
    }
}

/// Is this one of the files in the program?
fn embedded(body: &[u8]) -> bool {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
    let mut files = fs::read_dir(files).unwrap();
    files.any(|file| fs::read(file.unwrap().path()).unwrap() == body)
}

/// A redirect leads to this service, and each answer has what protects the page. What hyper answers
/// by itself, to what is no request, has no body to protect.
fn is_well_behaved(head: &Head) -> Outcome {
    let elsewhere = |location: &str| !location.starts_with('/') || location.starts_with("//");
    if head.header("location").is_some_and(elsewhere) {
        return Err(format!("a redirect to elsewhere: {head:?}"));
    }
    let by_itself = matches!(head.status, 100 | 400 | 414 | 431)
        && head.header("content-type").is_none()
        && head
            .header("content-length")
            .is_none_or(|length| length == "0");
    for name in [
        "content-security-policy",
        "referrer-policy",
        "x-content-type-options",
        "cache-control",
    ] {
        if !by_itself && head.header(name).is_none() {
            return Err(format!("no {name}: {head:?}"));
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn any_files_is_a_path_and_a_file_is_refused_in_one_line() {
    const WORDS: &[&str] = &[
        "files",
        "/files",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ];
    hold(100 * CASES, &values(WORDS), |value| {
        let env = |asked: &str| (asked == "FILES").then(|| value.clone());
        match Config::from_env(&env) {
            Ok(config) if value.is_empty() => assert_eq!(config.files, Path::new("files")),
            Ok(config) => assert_eq!(config.files, Path::new(&value)),
            Err(invalid) => is_one_line(&invalid.to_string(), "FILES", &value)?,
        }
        Ok(())
    });
}
