//! A page in a browser, which a `WebDriver` server controls.

use std::{
    env, fs,
    io::Cursor,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use thirtyfour::{
    By, Capabilities, TypingData, WebDriver, WebElement,
    common::command::{Actions, Command as WebDriverCommand},
};
use tokio::time::sleep;

/// Timeout for a condition: two polls of the page, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Functions for the scripts of the tests.
const HELPERS: &str = r#"
    const find = (id) => document.getElementById(id);
    const text = (id) => find(id).textContent;
    const number = (id) => parseFloat(text(id).replaceAll(",", ""));
    const state = () => document.body.dataset.state;
    const stretches = (id) => (find(id).getAttribute("d") ?? "").split("M").length - 1;
    const key = "dockercoins " + location.pathname;
    const saved = () => {
        document.dispatchEvent(new Event("visibilitychange"));
        return JSON.parse(localStorage[key] ?? '{ "samples": [] }');
    };
    const samples = () => saved().samples;
"#;

/// A browser engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Chromium, with chromedriver.
    Chromium,
    /// Firefox, with geckodriver.
    Firefox,
    /// `WebKitGTK`'s `MiniBrowser`, with `WebKitWebDriver`.
    WebKit,
}

impl Engine {
    /// The engine that the environment variable `BROWSER` selects.
    fn selected() -> Self {
        match env::var("BROWSER").as_deref() {
            Err(_) | Ok("chromium") => Self::Chromium,
            Ok("firefox") => Self::Firefox,
            Ok("webkit") => Self::WebKit,
            Ok(other) => panic!("BROWSER={other}: expected chromium, firefox or webkit"),
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Self::Chromium => "chromedriver",
            Self::Firefox => "geckodriver",
            Self::WebKit => "WebKitWebDriver",
        }
    }

    fn capabilities(self, scheme: &str) -> Capabilities {
        let dark = scheme == "dark";
        let capabilities = match self {
            Self::Chromium => json!({
                "browserName": "chrome",
                "goog:loggingPrefs": { "browser": "ALL" },
                "goog:chromeOptions": { "args": ["--headless=new", "--no-sandbox"] },
            }),
            Self::Firefox => json!({
                "browserName": "firefox",
                "moz:firefoxOptions": {
                    "args": ["-headless"],
                    "prefs": { "layout.css.prefers-color-scheme.content-override": i32::from(!dark) },
                },
            }),
            // Without its toolbar it can be as narrow as a phone.
            Self::WebKit => {
                let scheme = if dark { "--dark-mode" } else { "--automation" };
                json!({
                    "browserName": "MiniBrowser",
                    "webkitgtk:browserOptions": {
                        "binary": minibrowser(),
                        "args": ["--automation", "--full-screen", scheme],
                    },
                })
            }
        };
        capabilities.as_object().unwrap().clone().into()
    }
}

/// Debian keeps `MiniBrowser` in a directory for the architecture.
fn minibrowser() -> PathBuf {
    fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("webkit2gtk-4.1/MiniBrowser"))
        .find(|path| path.exists())
        .expect("MiniBrowser")
}

/// A browser with one page. Dropping it ends the browser.
pub struct Page {
    driver: WebDriver,
    engine: Engine,
    server: Server,
}

impl Page {
    /// Opens `url`.
    pub async fn open(url: &str) -> Self {
        let page = Self::blank("light").await;
        page.go(url).await;
        page
    }

    /// Opens an empty page, on a system that prefers `scheme`: light or dark.
    pub async fn blank(scheme: &str) -> Self {
        let engine = Engine::selected();
        let server = Server::start(engine.driver());
        let start = Instant::now();
        let driver = loop {
            match WebDriver::new(&server.url, engine.capabilities(scheme)).await {
                Ok(driver) => break driver,
                // The server does not listen yet.
                Err(error) => assert!(start.elapsed() < TIMEOUT, "{engine:?}: {error}"),
            }
            sleep(Duration::from_millis(50)).await;
        };
        let page = Self {
            driver,
            engine,
            server,
        };
        match engine {
            Engine::Chromium => {
                let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
                let media = json!({ "features": scheme });
                page.devtools("Emulation.setEmulatedMedia", media).await;
            }
            // Other windows of Firefox are at least 500 pixels wide.
            Engine::Firefox => {
                page.run("open('about:blank', '_blank', 'popup')").await;
                let window = page.driver.windows().await.unwrap().pop().unwrap();
                page.driver.switch_to_window(window).await.unwrap();
            }
            Engine::WebKit => {}
        }
        page.resize(1280, 720).await;
        page
    }

    /// The engine that it runs in.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Goes to another URL.
    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Goes to `url`, where the page finds this history.
    pub async fn go_with_history(&self, url: &str, history: &Value) {
        // Of the same origin, without the scripts that would overwrite it.
        self.go(&format!("{url}/favicon.svg")).await;
        let key = "dockercoins /index.html";
        self.run(&format!(
            "localStorage[{key:?}] = JSON.stringify({history})"
        ))
        .await;
        self.go(url).await;
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.driver.refresh().await.unwrap();
    }

    /// Runs the statements of a script, which may use `HELPERS`, and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        let script = format!("{HELPERS}{script}");
        let result = self.driver.execute(script.as_str(), Vec::new()).await;
        let result = result.unwrap_or_else(|error| panic!("{script}: {error}"));
        result.json().clone()
    }

    /// The value of an expression, or of the promise that it is.
    pub async fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}")).await
    }

    /// The text of an element.
    pub async fn text(&self, id: &str) -> String {
        let text = self.get(&format!("text({id:?})")).await;
        text.as_str().unwrap().to_owned()
    }

    /// The number in an element; NaN if there is none.
    pub async fn number(&self, id: &str) -> f64 {
        let number = self.get(&format!("number({id:?})")).await;
        number.as_f64().unwrap_or(f64::NAN)
    }

    /// Waits until an expression is true.
    pub async fn until(&self, condition: &str) {
        let start = Instant::now();
        while self.get(condition).await != true {
            if start.elapsed() > TIMEOUT {
                let page = self.get("document.body.innerText").await;
                panic!("not within {TIMEOUT:?}: {condition}\nThe page says: {page:#}");
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

    /// Types into the focused element.
    pub async fn press(&self, key: impl Into<TypingData>) {
        let keys = self.driver.action_chain().send_keys(key);
        keys.perform().await.unwrap();
    }

    /// Clicks an element.
    pub async fn click(&self, id: &str) {
        self.element(id).await.click().await.unwrap();
    }

    /// Moves the mouse to `x` pixels from the centre of an element.
    pub async fn point_at(&self, id: &str, x: i32) {
        let element = self.element(id).await;
        self.act(json!({
            "type": "pointer",
            "id": "mouse",
            "parameters": { "pointerType": "mouse" },
            "actions": [move_to(&element, x)],
        }))
        .await;
    }

    /// Drags a finger by `x` pixels from the centre of an element; by 0, it is a tap.
    pub async fn swipe(&self, id: &str, x: i32) {
        let element = self.element(id).await;
        self.act(json!({
            "type": "pointer",
            "id": "finger",
            "parameters": { "pointerType": "touch" },
            "actions": [
                move_to(&element, 0),
                { "type": "pointerDown", "button": 0 },
                move_to(&element, x),
                { "type": "pointerUp", "button": 0 },
            ],
        }))
        .await;
    }

    /// Turns the wheel of the mouse over an element by `y` pixels.
    pub async fn wheel(&self, id: &str, y: i32) {
        let origin = self.element(id).await.to_json().unwrap();
        self.act(json!({
            "type": "wheel",
            "id": "wheel",
            "actions": [{
                "type": "scroll", "origin": origin, "x": 0, "y": 0, "deltaX": 0, "deltaY": y, "duration": 0,
            }],
        }))
        .await;
        // WebKitWebDriver counts a delta from the last one, unless that is released.
        self.driver.action_chain().reset_actions().await.unwrap();
    }

    async fn act(&self, device: Value) {
        let actions = Actions::from(json!([device]));
        let command = WebDriverCommand::PerformActions(actions);
        self.driver.cmd(command).await.unwrap();
    }

    async fn element(&self, id: &str) -> WebElement {
        self.driver.find(By::Id(id)).await.unwrap()
    }

    /// Sends a command of the Chrome `DevTools` Protocol, which only Chromium has.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let answer = self.driver.cdp().send_raw(command, parameters).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Gives the page this size.
    pub async fn resize(&self, width: u32, height: u32) {
        // The window of MiniBrowser is at least that wide.
        let minimum = if self.engine == Engine::WebKit {
            334
        } else {
            0
        };
        let width = width.max(minimum);
        if self.engine == Engine::Chromium {
            let size = json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
            });
            self.devtools("Emulation.setDeviceMetricsOverride", size)
                .await;
        } else {
            let outer = self.driver.get_window_rect().await.unwrap();
            let inner = self.get("[innerWidth, innerHeight]").await;
            let [inner_width, inner_height]: [i64; 2] = serde_json::from_value(inner).unwrap();
            let grown = |outer, inner, to| u32::try_from(outer - inner + i64::from(to)).unwrap();
            let width = grown(outer.width, inner_width, width);
            let height = grown(outer.height, inner_height, height);
            let resized = self.driver.set_window_rect(0, 0, width, height);
            resized.await.unwrap();
        }
        self.until(&format!(
            "innerWidth === {width} && innerHeight === {height}"
        ))
        .await;
    }

    /// The pixels of an element, as they are drawn.
    pub async fn pixels(&self, id: &str) -> Vec<[u8; 3]> {
        self.get("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            .await;
        let element = self.element(id).await;
        decode(element.screenshot_as_png().await.unwrap())
    }

    /// The pixels of the page.
    pub async fn all_pixels(&self) -> Vec<[u8; 3]> {
        decode(self.driver.screenshot_as_png().await.unwrap())
    }

    /// Writes a picture of the page.
    pub async fn save_picture(&self, path: &Path) {
        self.driver.screenshot(path).await.unwrap();
    }

    /// The errors of scripts, missing files, and violations of the policy; empty outside Chromium.
    pub async fn console(&self) -> Vec<String> {
        if self.engine != Engine::Chromium {
            return Vec::new();
        }
        let log = self.driver.browser_log().await.unwrap();
        let messages = log.into_iter().map(|entry| entry.message);
        // Chromium requests it where the document is not a page.
        messages
            .filter(|message| !message.contains("/favicon.ico"))
            .collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // WebDriver's own `Drop` waits for the runtime, which it blocks.
        let session = format!("{}/session/{}", self.server.url, self.driver.session_id());
        let _ = ureq::delete(session).call();
        let _ = self.driver.clone().leak();
    }
}

fn decode(picture: Vec<u8>) -> Vec<[u8; 3]> {
    let mut picture = png::Decoder::new(Cursor::new(picture)).read_info().unwrap();
    let mut bytes = vec![0; picture.output_buffer_size().unwrap()];
    let frame = picture.next_frame(&mut bytes).unwrap();
    bytes
        .chunks_exact(frame.color_type.samples())
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

fn move_to(element: &WebElement, x: i32) -> Value {
    let origin = element.to_json().unwrap();
    json!({ "type": "pointerMove", "origin": origin, "x": x, "y": 0, "duration": 50 })
}

/// A `WebDriver` server. Dropping it ends it.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(program: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(program)
            .arg(format!("--port={}", address.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            process: process.unwrap_or_else(|error| panic!("cannot run {program}: {error}")),
            url: format!("http://{address}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
