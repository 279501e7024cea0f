//! A page in Chromium, which chromedriver drives.
//!
//! It is for tests alone: what fails here panics, and says what it was.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used)]

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Cursor, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{
    By, ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, TypingData, WebDriver,
};
use tokio::time::{Instant, sleep};

/// How long a condition may take to come about: two polls of the page, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the scripts of the tests are written with.
const VOCABULARY: &str = r#"
    const find = (id) => document.getElementById(id);
    const text = (id) => find(id).textContent;
    const number = (id) => parseFloat(text(id).replaceAll(",", ""));
    const state = () => document.body.dataset.state;
    const stretches = (id) => (find(id).getAttribute("d") ?? "").split("M").length - 1;
    const samples = () => {
        dispatchEvent(new Event("visibilitychange"));
        return JSON.parse(localStorage.dockercoins);
    };
"#;

/// A browser with one page. Dropping it ends the browser.
pub struct Page {
    driver: WebDriver,
    _chromedriver: Chromedriver,
}

impl Page {
    /// Opens what is at `url`.
    pub async fn open(url: &str) -> Self {
        let page = Self::blank().await;
        page.go(url).await;
        page
    }

    /// Opens nothing yet.
    pub async fn blank() -> Self {
        let chromedriver = Chromedriver::start();
        let mut capabilities = DesiredCapabilities::chrome();
        let profile = format!("--user-data-dir={}", chromedriver.profile.0.display());
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,720",
            &profile,
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .unwrap();
        let driver = WebDriver::new(chromedriver.url(), capabilities).await;
        let driver = driver.unwrap_or_else(|error| {
            panic!("chromedriver cannot start Chromium (apt install chromium): {error}")
        });
        Self {
            driver,
            _chromedriver: chromedriver,
        }
    }

    /// What the page is to find in the browser's memory, at each load from now on.
    pub async fn remember(&self, history: &str) {
        let source = format!("localStorage.dockercoins = {};", json!(history));
        let script = json!({ "source": source });
        self.devtools("Page.addScriptToEvaluateOnNewDocument", script)
            .await;
    }

    /// Goes to another URL.
    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.driver.refresh().await.unwrap();
    }

    /// Runs the statements of a script, in the words of `VOCABULARY`; its value is what it returns.
    pub async fn run(&self, script: &str) -> Value {
        let script = format!("{VOCABULARY}{script}");
        let run = self.driver.execute(script.as_str(), Vec::new()).await;
        run.unwrap_or_else(|error| panic!("{script}: {error}"))
            .json()
            .clone()
    }

    /// The value of an expression; `await` may stand in it.
    pub async fn value(&self, expression: &str) -> Value {
        let script = format!(
            "{VOCABULARY}
            const done = arguments[0];
            (async () => {expression})().then(done, (error) => done(`${{error}}`));"
        );
        let run = self.driver.execute_async(script.as_str(), Vec::new()).await;
        run.unwrap_or_else(|error| panic!("{expression}: {error}"))
            .json()
            .clone()
    }

    /// What stands in an element.
    pub async fn text(&self, id: &str) -> String {
        let text = self.run(&format!("return text({id:?})")).await;
        text.as_str().unwrap().to_owned()
    }

    /// The number that stands in an element; NaN if there is none.
    pub async fn number(&self, id: &str) -> f64 {
        let number = self.run(&format!("return number({id:?})")).await;
        number.as_f64().unwrap_or(f64::NAN)
    }

    /// Waits until an expression is true.
    pub async fn until(&self, condition: &str) {
        let start = Instant::now();
        while self.run(&format!("return {condition}")).await != true {
            if start.elapsed() > PATIENCE {
                let page = self.run("return document.body.innerText").await;
                panic!("not within {PATIENCE:?}: {condition}\nThe page says: {page:#}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the page is in this state, and says so in these words.
    pub async fn until_state(&self, state: &str, words: &str) {
        self.until(&format!(
            "state() === {state:?} && text(\"state\") === {words:?}"
        ))
        .await;
    }

    /// Types into what has the focus.
    pub async fn press(&self, key: impl Into<TypingData>) {
        let keys = self.driver.action_chain().send_keys(key);
        keys.perform().await.unwrap();
    }

    /// Moves the pointer to the middle of an element.
    pub async fn point_at(&self, id: &str) {
        let element = self.driver.find(By::Id(id)).await.unwrap();
        let pointer = self.driver.action_chain().move_to_element_center(&element);
        pointer.perform().await.unwrap();
    }

    /// Clicks an element.
    pub async fn click(&self, id: &str) {
        let element = self.driver.find(By::Id(id)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Sends a command of the Chrome `DevTools` Protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let answer = self.driver.cdp().send_raw(command, parameters).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Makes the system prefer `scheme`, light or dark.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }

    /// Gives the page this size.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// The pixels of an element, as they are drawn.
    pub async fn pixels(&self, id: &str) -> Vec<[u8; 3]> {
        let element = self.driver.find(By::Id(id)).await.unwrap();
        let picture = element.screenshot_as_png().await.unwrap();
        let mut picture = png::Decoder::new(Cursor::new(picture)).read_info().unwrap();
        let mut bytes = vec![0; picture.output_buffer_size().unwrap()];
        let frame = picture.next_frame(&mut bytes).unwrap();
        bytes
            .chunks_exact(frame.color_type.samples())
            .map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect()
    }

    /// Writes a picture of the page.
    pub async fn save_picture(&self, path: &Path) {
        self.driver.screenshot(path).await.unwrap();
    }

    /// What the browser complained of: errors of scripts, files not found, breaches of the policy.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        log.into_iter().map(|entry| entry.message).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Its chromedriver ends the browser, also after a failure.
        let _ = self.driver.clone().leak();
    }
}

/// A chromedriver. Dropping it ends it, with its browsers.
struct Chromedriver {
    process: Child,
    port: u16,
    profile: Directory,
}

impl Chromedriver {
    fn start() -> Self {
        let program = env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let mut process = Command::new(&program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot run {program}: {error}. On Debian: apt install chromium \
                     chromium-driver; one that is elsewhere is named by CHROMEDRIVER"
                )
            });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .unwrap_or_else(|| panic!("{program} does not say its port"));
        // It may go on writing.
        thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            port,
            profile: Directory::empty(),
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it to end: killed, it would leave its browsers behind.
    fn shut_down(&mut self) -> io::Result<()> {
        let patience = Duration::from_secs(10);
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"GET /shutdown HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        stream.read_exact(&mut [0])?;
        for _ in 0..100 {
            if self.process.try_wait()?.is_some() {
                break;
            }
            thread::sleep(patience / 100);
        }
        Ok(())
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let _ = self.shut_down();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An empty directory, removed when it is dropped.
pub struct Directory(pub PathBuf);

impl Directory {
    /// Makes one.
    #[must_use]
    pub fn empty() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("dockercoins-browser-{}-{number}", process::id());
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A browser that is about to end may write to it once more.
        for _ in 0..20 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}
