//! The application that the page belongs to, in parts that a test can take away.

use std::{
    env,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
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

/// How long a port may be taken that was free a moment ago.
const PATIENCE: Duration = Duration::from_secs(10);

/// The files of the page; `FILES` names others, to see that a test fails with them.
pub(crate) fn files() -> PathBuf {
    env::var_os("FILES").map_or_else(|| root().join("webui/files"), PathBuf::from)
}

/// The whole application, with a store that a test may stop and replace.
pub(crate) struct Application {
    /// Where its page is.
    pub(crate) url: String,
    store: Option<MemoryRedis>,
    redis_port: u16,
    worker: worker::Config,
    stop: CancellationToken,
}

impl Application {
    /// Runs it with so many workers.
    pub(crate) async fn start(workers: usize) -> Self {
        let store = MemoryRedis::start().await.unwrap();
        let redis = redis::Client::open(store.url()).unwrap();
        let listeners = Listeners::bind(0).await.unwrap();
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let application = Self {
            url: url(&listeners.webui),
            redis_port: store.address().port(),
            store: Some(store),
            worker: worker::Config {
                rng: url(&listeners.rng),
                hasher: url(&listeners.hasher),
                redis: redis.clone(),
                delay: DELAY,
            },
            stop: stop.clone(),
        };
        let config = Config {
            workers,
            delay: DELAY,
            redis: Some(redis),
            files: files(),
        };
        tokio::spawn(standalone::run(listeners, config, stop));
        application
    }

    /// Starts so many workers more.
    pub(crate) fn add_workers(&self, workers: usize) {
        for _ in 0..workers {
            tokio::spawn(worker::run(self.worker.clone(), self.stop.clone()));
        }
    }

    /// A client of its redis.
    pub(crate) fn redis(&self) -> redis::Client {
        self.worker.redis.clone()
    }

    /// Counts so many hashes, where there are no workers.
    pub(crate) async fn count(&self, hashes: u64) {
        let mut redis = self
            .redis()
            .get_multiplexed_async_connection()
            .await
            .unwrap();
        let mut count = redis::cmd("INCRBY");
        count.arg("hashes").arg(hashes);
        count.exec_async(&mut redis).await.unwrap();
    }

    /// Stops redis, which forgets all.
    pub(crate) fn stop_redis(&mut self) {
        self.store = None;
    }

    /// Starts a redis that knows nothing, where the other one was.
    pub(crate) async fn start_redis(&mut self) {
        let start = Instant::now();
        while self.store.is_none() {
            assert!(start.elapsed() < PATIENCE, "the port of redis is taken");
            self.store = MemoryRedis::start_on(self.redis_port).await.ok();
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

    /// For what does not need a redis.
    pub(crate) async fn without_redis(files: &Path) -> Self {
        Self::start(redis::Client::open("redis://127.0.0.1:1").unwrap(), files).await
    }

    /// Stops it.
    pub(crate) async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    /// Starts it again, where it was.
    pub(crate) async fn start_again(&mut self) {
        let start = Instant::now();
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await {
                Ok(listener) => break listener,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            sleep(DELAY).await;
        };
        self.run(listener, &files());
    }

    fn run(&mut self, listener: TcpListener, files: &Path) {
        let stop = CancellationToken::new();
        let running = webui::run(listener, self.redis.clone(), files.into(), stop.clone());
        self.running = Some((stop, tokio::spawn(running)));
    }
}
