//! The page in Chromium, through `WebDriver`.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// A chromedriver, and the browser that it has started. Dropping it ends both.
pub(crate) struct Driver {
    process: Child,
    pub(crate) browser: Browser,
}

impl Driver {
    /// Starts a browser with an empty page, where there is one.
    pub(crate) fn start(profile: &Path) -> Result<Option<Self>> {
        let command = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut process) = command else {
            return Ok(None);
        };
        let mut lines = BufReader::new(process.stdout.take().context("stdout")?).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.context("chromedriver does not name its port")?;
        let url = format!("http://127.0.0.1:{port}/session");
        let profile = format!("--user-data-dir={}", profile.display());
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            profile
        ]);
        let capabilities =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let mut driver = Self {
            process,
            browser: Browser {
                session: String::new(),
            },
        };
        let session = call(&url, &capabilities).context("cannot start Chromium")?;
        driver.browser.session = format!(
            "{url}/{}",
            session["sessionId"].as_str().context("no session")?
        );
        Ok(Some(driver))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.browser.session).call();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A session of `WebDriver`.
pub(crate) struct Browser {
    /// Its URL.
    pub(crate) session: String,
}

impl Browser {
    /// Opens a page.
    pub(crate) fn open(&self, url: &str) -> Result<()> {
        call(&format!("{}/url", self.session), &json!({"url": url})).map(drop)
    }

    pub(crate) fn reload(&self) -> Result<()> {
        call(&format!("{}/refresh", self.session), &json!({})).map(drop)
    }

    /// Runs the statements of a script, and returns its result.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        call(
            &format!("{}/execute/sync", self.session),
            &json!({"script": script, "args": []}),
        )
    }
}

fn call(url: &str, body: &Value) -> Result<Value> {
    let answer = ureq::post(url)
        .send(body.to_string())?
        .into_body()
        .read_to_string()?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    Ok(answer["value"].take())
}
