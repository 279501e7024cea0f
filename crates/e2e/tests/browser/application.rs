//! The application that the page belongs to, in parts that a test can stop and start.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Response, Uri},
};
use chassis::CancellationToken;
use e2e::root;
use memory_redis::MemoryRedis;
use standalone::{Config, Listeners};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// The simulated work, as in the workshop.
const DELAY: Duration = Duration::from_millis(100);

/// Timeout for a port to become free again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The files of the page.
pub(crate) fn files() -> PathBuf {
    root().join("webui/files")
}

/// The whole application, with a redis that a test may stop and replace.
pub(crate) struct Application {
    /// Where its page is.
    pub(crate) url: String,
    redis: Option<MemoryRedis>,
    redis_port: u16,
    worker: worker::Config,
    stop: CancellationToken,
}

impl Application {
    /// Runs it with this many workers.
    pub(crate) async fn start(workers: usize) -> Self {
        let memory_redis = MemoryRedis::start().await.unwrap();
        let redis = redis::Client::open(memory_redis.url()).unwrap();
        let listeners = Listeners::bind(Ipv4Addr::LOCALHOST, 0).await.unwrap();
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let application = Self {
            url: url(&listeners.webui),
            redis_port: memory_redis.address().port(),
            redis: Some(memory_redis),
            worker: worker::Config {
                rng_url: url(&listeners.rng),
                hasher_url: url(&listeners.hasher),
                redis_url: redis.clone(),
                delay: DELAY,
                metrics_port: None,
            },
            stop: stop.clone(),
        };
        let config = Config {
            workers,
            port: 0,
            address: Ipv4Addr::LOCALHOST,
            redis_url: Some(redis),
            delay: DELAY,
            files: files(),
        };
        tokio::spawn(standalone::run(listeners, config, stop));
        application
    }

    /// Starts more workers.
    pub(crate) fn add_workers(&self, workers: usize) {
        for _ in 0..workers {
            tokio::spawn(worker::run(self.worker.clone(), self.stop.clone()));
        }
    }

    /// A client of its redis.
    pub(crate) fn redis(&self) -> redis::Client {
        self.worker.redis_url.clone()
    }

    /// Adds to the counter, where there are no workers.
    pub(crate) async fn count(&self, hashes: u64) {
        let redis = self.redis();
        let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
        let mut count = redis::cmd("INCRBY");
        count.arg("hashes").arg(hashes);
        count.exec_async(&mut connection).await.unwrap();
    }

    /// Stops redis, which loses its data.
    pub(crate) fn stop_redis(&mut self) {
        self.redis = None;
    }

    /// Starts an empty redis in its place.
    pub(crate) async fn start_redis(&mut self) {
        let start = Instant::now();
        while self.redis.is_none() {
            assert!(start.elapsed() < TIMEOUT, "the port of redis is taken");
            self.redis = MemoryRedis::start_on(self.redis_port).await.ok();
            sleep(DELAY).await;
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A webui alone.
pub(crate) struct Webui {
    /// Where its page is.
    pub(crate) url: String,
    port: u16,
    redis: redis::Client,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Webui {
    /// Runs it on any port.
    pub(crate) async fn start(redis: redis::Client, files: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut webui = Self {
            url: format!("http://{address}"),
            port: address.port(),
            redis,
            running: None,
        };
        webui.run(listener, files);
        webui
    }

    /// Runs it without a redis.
    pub(crate) async fn without_redis(files: &Path) -> Self {
        Self::start(redis::Client::open("redis://127.0.0.1:1").unwrap(), files).await
    }

    /// Stops it.
    pub(crate) async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    /// Starts it again, on the same port.
    pub(crate) async fn restart(&mut self) {
        let address = (Ipv4Addr::LOCALHOST, self.port);
        self.run(TcpListener::bind(address).await.unwrap(), &files());
    }

    fn run(&mut self, listener: TcpListener, files: &Path) {
        let stop = CancellationToken::new();
        let page = webui::page(files);
        let running = webui::run(listener, self.redis.clone(), page, stop.clone());
        self.running = Some((stop, tokio::spawn(running)));
    }
}

/// A reverse proxy for `url`; the result is the URL of its `path`.
pub(crate) async fn proxy(url: &str, path: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = format!("http://{}{path}", listener.local_addr().unwrap());
    let url = url.to_owned();
    let forward = async move |uri: Uri| {
        let answer = reqwest::get(format!("{url}{uri}")).await.unwrap();
        Response::<reqwest::Body>::from(answer).map(Body::new)
    };
    let router = Router::new().nest(path, Router::new().fallback(forward));
    tokio::spawn(axum::serve(listener, router).into_future());
    proxy
}
