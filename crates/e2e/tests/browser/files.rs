//! The files of the page: their size, edits, the path they are below.

use std::{fs, path::Path};

use e2e::browser::Page;
use tempfile::{TempDir, tempdir};

use crate::application::{Application, Webui, files, proxy};

/// The whole page, before compression.
const LARGEST: u64 = 20 * 1024;

const FILL: &str = "getComputedStyle(find('area')).fill";
const STEELBLUE: &str = "rgb(70, 130, 180)";

/// A copy of the files in which `from` is replaced by `to`.
pub(crate) fn edited(from: &str, to: &str) -> TempDir {
    let copy = tempdir().unwrap();
    for file in fs::read_dir(files()).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        fs::write(copy.path().join(file.file_name()), text.replace(from, to)).unwrap();
    }
    copy
}

#[test]
fn the_page_is_within_20_kilobytes_and_no_file_is_longer_than_150_lines() {
    let mut size = 0;
    for file in fs::read_dir(files()).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.lines().count() <= 150, "{:?}", file.path());
        size += file.metadata().unwrap().len();
    }
    println!("{size} bytes");
    assert!(size <= LARGEST, "{size} bytes");
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn an_edit_of_a_file_shows_at_the_next_reload() {
    let copy = edited("", "");
    let webui = Webui::without_redis(copy.path()).await;
    let page = Page::open(&webui.url).await;
    assert_eq!(page.get(FILL).await, STEELBLUE);

    let style = copy.path().join("style.css");
    let text = fs::read_to_string(&style).unwrap();
    fs::write(style, text.replace("steelblue", "tomato")).unwrap();
    page.reload().await;
    assert_eq!(page.get(FILL).await, "rgb(255, 99, 71)");
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn without_files_on_disk_the_page_is_still_there() {
    let empty = tempdir().unwrap();
    for files in [empty.path(), Path::new("not-there")] {
        let webui = Webui::without_redis(files).await;
        let page = Page::open(&webui.url).await;
        page.until("state() === 'redis'").await;
        assert_eq!(page.get(FILL).await, STEELBLUE, "{files:?}");
    }
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn below_another_path_the_page_works_and_has_a_history_of_its_own() {
    let application = Application::start(1).await;
    let below = proxy(&application.url, "/api/v1/services/webui/proxy");
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
        serde_json::json!(["dockercoins /api/v1/services/webui/proxy/index.html"])
    );
}
