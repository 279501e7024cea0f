//! A page in a browser, which a `WebDriver` server controls.
//!
//! The environment variable `BROWSER` selects the engine: `chromium`, which is the default,
//! `firefox` or `webkit`.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Cursor, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use thirtyfour::{
    By, Capabilities, RequestData, SessionId, TypingData, WebDriver,
    common::command::FormatRequestData,
};
use tokio::time::sleep;

/// Timeout for a condition: two polls of the page, on a machine that is busy.
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

/// The engines that the tests run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Chromium, with chromedriver.
    Chromium,
    /// Firefox, with geckodriver.
    Firefox,
    /// `WebKitGTK`'s `MiniBrowser`, with `WebKitWebDriver`, on an X server of its own.
    WebKit,
}

impl Engine {
    /// The engine that the environment selects.
    #[must_use]
    pub fn selected() -> Self {
        match env::var("BROWSER").as_deref() {
            Err(_) | Ok("chromium") => Self::Chromium,
            Ok("firefox") => Self::Firefox,
            Ok("webkit") => Self::WebKit,
            Ok(other) => panic!("BROWSER={other}: expected chromium, firefox or webkit"),
        }
    }

    /// The `WebDriver` server, the variable that names another one, and how to install it on Debian.
    fn driver(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Chromium => (
                "chromedriver",
                "CHROMEDRIVER",
                "apt install chromium chromium-driver",
            ),
            Self::Firefox => (
                "geckodriver",
                "GECKODRIVER",
                "apt install firefox-esr; cargo install geckodriver --locked",
            ),
            Self::WebKit => (
                "WebKitWebDriver",
                "WEBKITDRIVER",
                "apt install webkit2gtk-driver xvfb",
            ),
        }
    }

    fn capabilities(self, scheme: &str, profile: &Path) -> Capabilities {
        let dark = scheme == "dark";
        let capabilities = match self {
            Self::Chromium => json!({
                "browserName": "chrome",
                "goog:loggingPrefs": { "browser": "ALL" },
                "goog:chromeOptions": { "args": [
                    "--headless=new",
                    "--no-sandbox",
                    "--no-first-run",
                    "--disable-gpu",
                    "--disable-quic",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    format!("--user-data-dir={}", profile.display()),
                ] },
            }),
            Self::Firefox => json!({
                "browserName": "firefox",
                "moz:firefoxOptions": {
                    "args": ["-headless"],
                    "prefs": {
                        "layout.css.prefers-color-scheme.content-override": i32::from(!dark),
                        "ui.systemUsesDarkTheme": i32::from(dark),
                    },
                },
            }),
            // Without its toolbar it can be as narrow as a phone.
            Self::WebKit => json!({
                "browserName": "MiniBrowser",
                "webkitgtk:browserOptions": {
                    "binary": minibrowser(),
                    "args": if dark {
                        json!(["--automation", "--full-screen", "--dark-mode"])
                    } else {
                        json!(["--automation", "--full-screen"])
                    },
                },
            }),
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
        .expect("MiniBrowser (apt install webkit2gtk-driver)")
}

/// A browser with one page. Dropping it ends the browser.
pub struct Page {
    driver: WebDriver,
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
        let server = Server::start(engine);
        let capabilities = engine.capabilities(scheme, server.profile.path());
        let driver = WebDriver::new(server.url(), capabilities).await;
        let driver = driver.unwrap_or_else(|error| {
            panic!("cannot start {engine:?} ({}): {error}", engine.driver().2)
        });
        let page = Self { driver, server };
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

    /// Which engine it runs in.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.server.engine
    }

    /// Goes to another URL.
    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Goes to `url`, where the page finds this history.
    pub async fn go_with_history(&self, url: &str, history: &str) {
        // Of the same origin, without the scripts that would overwrite it.
        self.go(&format!("{url}/favicon.svg")).await;
        let key = "dockercoins /index.html";
        self.run(&format!("localStorage[{key:?}] = {}", json!(history)))
            .await;
        self.console().await;
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
        result
            .unwrap_or_else(|error| panic!("{script}: {error}"))
            .json()
            .clone()
    }

    /// The value of an expression.
    pub async fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}")).await
    }

    /// Runs the body of an asynchronous function, which may use `HELPERS`, and returns its result.
    pub async fn run_async(&self, body: &str) -> Value {
        let script = format!(
            "{HELPERS}
            const done = arguments[0];
            (async () => {{ {body} }})().then(done, (error) => done(`${{error}}`));"
        );
        let result = self.driver.execute_async(script.as_str(), Vec::new()).await;
        result
            .unwrap_or_else(|error| panic!("{body}: {error}"))
            .json()
            .clone()
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

    /// Types into what has the focus.
    pub async fn press(&self, key: impl Into<TypingData>) {
        let keys = self.driver.action_chain().send_keys(key);
        keys.perform().await.unwrap();
    }

    /// Clicks an element.
    pub async fn click(&self, id: &str) {
        let element = self.driver.find(By::Id(id)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Moves the mouse to a place in an element, in pixels from its centre.
    pub async fn point_at(&self, id: &str, x: i32) {
        let moved = json!([self.moved_to(id, x).await]);
        self.act("pointer", "mouse", moved).await;
    }

    /// Drags a finger in an element by so many pixels, from its centre; by 0, it is a tap.
    pub async fn swipe(&self, id: &str, x: i32) {
        let actions = json!([
            self.moved_to(id, 0).await,
            { "type": "pointerDown", "button": 0 },
            self.moved_to(id, x).await,
            { "type": "pointerUp", "button": 0 },
        ]);
        self.act("pointer", "touch", actions).await;
    }

    /// Turns the wheel of the mouse over an element, by so many pixels.
    pub async fn wheel(&self, id: &str, y: i32) {
        let [left, top] = self.centre(id).await;
        let scroll = json!([{
            "type": "scroll", "x": left, "y": top, "deltaX": 0, "deltaY": y, "duration": 0,
        }]);
        self.act("wheel", "", scroll).await;
        // WebKitWebDriver takes a delta as one from the last delta, unless that is released.
        self.driver.action_chain().reset_actions().await.unwrap();
    }

    async fn moved_to(&self, id: &str, x: i32) -> Value {
        let [left, top] = self.centre(id).await;
        json!({ "type": "pointerMove", "x": left + i64::from(x), "y": top, "duration": 50 })
    }

    async fn centre(&self, id: &str) -> [i64; 2] {
        let script = format!(
            "const {{ x, y, width, height }} = find({id:?}).getBoundingClientRect();
            return [Math.round(x + width / 2), Math.round(y + height / 2)]"
        );
        serde_json::from_value(self.run(&script).await).unwrap()
    }

    async fn act(&self, kind: &str, pointer: &str, actions: Value) {
        let mut device =
            json!({ "type": kind, "id": format!("{kind} {pointer}"), "actions": actions });
        if kind == "pointer" {
            device["parameters"] = json!({ "pointerType": pointer });
        }
        let performed = self.driver.cmd(Act(device)).await;
        performed.unwrap_or_else(|error| panic!("{kind} {pointer}: {error}"));
    }

    /// Sends a command of the Chrome `DevTools` Protocol, which no other engine has.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let answer = self.driver.cdp().send_raw(command, parameters).await;
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Gives the page this size. The window of `MiniBrowser` is at least 334 pixels wide.
    pub async fn resize(&self, width: u32, height: u32) {
        let width = if self.engine() == Engine::WebKit {
            width.max(334)
        } else {
            width
        };
        if self.engine() == Engine::Chromium {
            let size = json!({
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
            });
            self.devtools("Emulation.setDeviceMetricsOverride", size)
                .await;
        }
        let start = Instant::now();
        loop {
            let inner = self.get("[innerWidth, innerHeight]").await;
            let [inner_width, inner_height]: [u32; 2] = serde_json::from_value(inner).unwrap();
            if [inner_width, inner_height] == [width, height] {
                return;
            }
            assert!(start.elapsed() < TIMEOUT, "{inner_width} × {inner_height}");
            if self.engine() != Engine::Chromium {
                // The window has a frame.
                let outer = self.driver.get_window_rect().await.unwrap();
                let grow = |outer: i64, from: u32, to: u32| {
                    u32::try_from(outer + i64::from(to) - i64::from(from)).unwrap()
                };
                let width = grow(outer.width, inner_width, width);
                let height = grow(outer.height, inner_height, height);
                let resized = self.driver.set_window_rect(0, 0, width, height);
                resized.await.unwrap();
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The pixels of an element, as they are drawn.
    pub async fn pixels(&self, id: &str) -> Vec<[u8; 3]> {
        let drawn = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done)))";
        self.run_async(drawn).await;
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

    /// The errors of scripts, files that were not found, and violations of the policy. Chromium alone
    /// tells them.
    pub async fn console(&self) -> Vec<String> {
        if self.engine() != Engine::Chromium {
            return Vec::new();
        }
        let log = self.driver.browser_log().await.unwrap();
        log.into_iter().map(|entry| entry.message).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Without it the server would leave its browser behind.
        let _ = self.server.end(self.driver.session_id());
        let _ = self.driver.clone().leak();
    }
}

/// What one input device does.
#[derive(Debug)]
struct Act(Value);

impl FormatRequestData for Act {
    fn format_request(&self, session: &SessionId) -> RequestData {
        RequestData::new(
            "POST".parse().unwrap(),
            format!("session/{session}/actions"),
        )
        .add_body(json!({ "actions": [self.0] }))
    }
}

/// A `WebDriver` server. Dropping it ends it.
struct Server {
    engine: Engine,
    process: Child,
    display: Option<Child>,
    port: u16,
    profile: TempDir,
}

impl Server {
    fn start(engine: Engine) -> Self {
        let (program, variable, install) = engine.driver();
        let program = env::var(variable).unwrap_or_else(|_| program.to_owned());
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(&program);
        let mut display = None;
        if engine == Engine::WebKit {
            let (xvfb, name) = start_xvfb();
            command.env("DISPLAY", name);
            display = Some(xvfb);
        }
        let process = command
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {program} ({install}): {error}"));
        let server = Self {
            engine,
            process,
            display,
            port,
            profile: tempdir().unwrap(),
        };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < TIMEOUT, "{program} does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends a session. Blocking, since nothing can be awaited where a page is dropped.
    fn end(&self, session: &SessionId) -> io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        // geckodriver rejects a host without its port.
        let host = format!("localhost:{}", self.port);
        let request = format!("DELETE /session/{session} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.read_exact(&mut [0])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in [Some(&mut self.process), self.display.as_mut()]
            .into_iter()
            .flatten()
        {
            let _ = process.kill();
            let _ = process.wait();
        }
        // A browser that is about to exit may write to its profile once more.
        for _ in 0..20 {
            if fs::remove_dir_all(self.profile.path()).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Starts an X server, whose name is the second result. Without a window manager, the window under
/// the pointer has the focus: it begins in the middle of the screen, beside the graph.
fn start_xvfb() -> (Child, String) {
    let mut xvfb = Command::new("Xvfb")
        .args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "2500x1000x24",
            "-nolisten",
            "tcp",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run Xvfb (apt install xvfb): {error}"));
    let mut number = String::new();
    BufReader::new(xvfb.stdout.take().unwrap())
        .read_line(&mut number)
        .unwrap();
    (xvfb, format!(":{}", number.trim()))
}
