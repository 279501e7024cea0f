//! The whole application in one process, for running and testing it without Docker.
//!
//! The services are the library functions that their binaries call, and they talk over the same
//! protocols, on the loopback interface.

use std::{io, net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::Context;
use chassis::{
    CancellationToken, Env, Invalid, Program, Redis, Variable, bind_error, chain, variable,
};
use memory_redis::MemoryRedis;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, info_span};

const DELAY: Variable<Duration> = variable::delay("100ms");
const FILES: Variable<PathBuf> = webui::files("webui/files");
const REDIS_URL: Variable<redis::Client> = Variable {
    about: "the URL of redis; if unset, a Redis in memory is used",
    ..Redis::url("")
};

/// Name, version and variables of standalone.
pub const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
    variables: &[REDIS_URL.help(), DELAY.help(), FILES.help()],
};

/// The usage in `--help`.
pub const USAGE: &str = "standalone               runs webui, rng, hasher and worker
  --workers NUMBER       the number of workers [default: 1]
  --port PORT            the port of webui; rng and hasher use the next two [default: 8000]
  --version
";

/// The configuration of the application.
#[derive(Debug)]
pub struct Config {
    /// The number of workers.
    pub workers: usize,
    /// The simulated work of rng, hasher and worker.
    pub delay: Duration,
    /// The client of redis; `None` for a Redis in memory.
    pub redis: Option<redis::Client>,
    /// The directory of the page.
    pub files: PathBuf,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When a variable is invalid.
    pub fn from_env(env: Env, workers: usize) -> Result<Self, Invalid> {
        Ok(Self {
            workers,
            delay: DELAY.read(env)?,
            redis: REDIS_URL.read_if_set(env)?,
            files: FILES.read(env)?,
        })
    }
}

/// The listeners of the services.
#[derive(Debug)]
pub struct Listeners {
    /// The page.
    pub webui: TcpListener,
    /// Random bytes.
    pub rng: TcpListener,
    /// SHA-256.
    pub hasher: TcpListener,
}

impl Listeners {
    /// Listens on `port` and the next two, on 127.0.0.1 only; on free ports if it is 0.
    ///
    /// # Errors
    ///
    /// When one of the ports cannot be bound.
    pub async fn bind(port: u16) -> anyhow::Result<Self> {
        let next = |n| if port == 0 { 0 } else { port + n };
        Ok(Self {
            webui: bind(next(0)).await?,
            rng: bind(next(1)).await?,
            hasher: bind(next(2)).await?,
        })
    }
}

async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| bind_error(port, "--port", &error))
}

/// Runs the application until `stop` is cancelled. The workers stop first, as under Compose.
///
/// # Errors
///
/// When the Redis in memory cannot be started.
pub async fn run(
    listeners: Listeners,
    config: Config,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (redis, memory_redis) = start_redis(config.redis).await?;
    let worker = worker::Config {
        rng: url(&listeners.rng)?,
        hasher: url(&listeners.hasher)?,
        redis: redis.clone(),
        delay: config.delay,
        metrics_port: None,
    };
    info!(
        "DockerCoins: {} workers, rng on {}, hasher on {}, counting in {}",
        config.workers,
        worker.rng,
        worker.hasher,
        memory_redis.as_ref().map_or("redis", |_| "memory"),
    );
    info!("Open {}/ in a browser; ^C ends it", url(&listeners.webui)?);

    let stop_services = CancellationToken::new();
    let services = start_services(listeners, redis, config.delay, config.files, &stop_services);
    let workers = start_workers(config.workers, &worker, &stop);
    stop.cancelled().await;
    workers.wait().await;
    stop_services.cancel();
    services.wait().await;
    Ok(())
}

/// The client to use, and the Redis in memory that must outlive it if there is none in `client`.
async fn start_redis(
    client: Option<redis::Client>,
) -> anyhow::Result<(redis::Client, Option<MemoryRedis>)> {
    if let Some(client) = client {
        return Ok((client, None));
    }
    let redis = MemoryRedis::start()
        .await
        .context("cannot start the Redis in memory")?;
    Ok((redis::Client::open(redis.url())?, Some(redis)))
}

fn start_services(
    listeners: Listeners,
    redis: redis::Client,
    delay: Duration,
    files: PathBuf,
    stop: &CancellationToken,
) -> TaskTracker {
    let Listeners { webui, rng, hasher } = listeners;
    let services = TaskTracker::new();
    spawn(&services, "rng", rng::run(rng, delay, stop.clone()));
    spawn(
        &services,
        "hasher",
        hasher::run(hasher, delay, stop.clone()),
    );
    spawn(
        &services,
        "webui",
        webui::run(webui, redis, files, stop.clone()),
    );
    services.close();
    services
}

fn start_workers(number: usize, config: &worker::Config, stop: &CancellationToken) -> TaskTracker {
    let workers = TaskTracker::new();
    for n in 1..=number {
        let worker = worker::run(config.clone(), stop.clone());
        spawn(&workers, &format!("worker_{n}"), async {
            if let Err(error) = worker.await {
                error!("{}", chain(&error));
            }
        });
    }
    workers.close();
    workers
}

/// The span prefixes the log with the name of the service, as Compose does.
fn spawn(tasks: &TaskTracker, name: &str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(task.instrument(info_span!("service", %name)));
}

fn url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}
