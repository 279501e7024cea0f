//! The whole application in one process, for running and testing it without Docker.
//!
//! The services are the library functions that their binaries call, and they talk over the same
//! protocols, on the loopback interface.

mod page;

use std::{io, net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::Context;
use chassis::{CancellationToken, RedisUrl, bind_error};
use clap::{Parser, value_parser};
use memory_redis::MemoryRedis;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, info_span};

/// The whole application in one process, without Docker
#[derive(Debug, Parser)]
#[command(name = "standalone")]
pub struct Config {
    /// The number of workers
    #[arg(long, default_value = "1")]
    pub workers: usize,

    /// The port of webui; rng and hasher use the next two
    #[arg(long, default_value = "8000", value_parser = value_parser!(u16).range(1..=65533))]
    pub port: u16,

    /// The address to listen on; 0.0.0.0 lets other machines in
    #[arg(long, env, default_value = "127.0.0.1")]
    pub address: Ipv4Addr,

    /// The URL of redis; if unset, a Redis in memory is used
    #[arg(long, env, value_parser = RedisUrl, hide_env_values = true)]
    pub redis_url: Option<redis::Client>,

    /// The simulated work of rng, hasher and worker, such as 250ms or 1s; 0 means none
    #[arg(long, env, default_value = "100ms", value_parser = chassis::delay)]
    pub delay: Duration,

    /// The directory of the page; without it, the page is served from the program
    #[arg(long, env, default_value = "webui/files")]
    pub files: PathBuf,
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
    /// Listens on `port` and the next two; on free ports if it is 0.
    ///
    /// # Errors
    ///
    /// When one of the ports cannot be bound.
    pub async fn bind(address: Ipv4Addr, port: u16) -> anyhow::Result<Self> {
        let next = |n| if port == 0 { 0 } else { port + n };
        Ok(Self {
            webui: bind(address, next(0)).await?,
            rng: bind(address, next(1)).await?,
            hasher: bind(address, next(2)).await?,
        })
    }
}

async fn bind(address: Ipv4Addr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port))
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
    let (redis, memory_redis) = start_redis(config.redis_url).await?;
    let worker = worker::Config {
        rng_url: url(&listeners.rng)?,
        hasher_url: url(&listeners.hasher)?,
        redis_url: redis.clone(),
        delay: config.delay,
        metrics_port: None,
    };
    info!(
        "DockerCoins: {} workers, rng on {}, hasher on {}, counting in {}",
        config.workers,
        worker.rng_url,
        worker.hasher_url,
        memory_redis.as_ref().map_or("redis", |_| "memory"),
    );
    info!("Open {}/ in a browser; ^C ends it", url(&listeners.webui)?);

    let stop_services = CancellationToken::new();
    let services = TaskTracker::new();
    let (delay, stop_all) = (config.delay, || stop_services.clone());
    spawn(&services, "rng", rng::run(listeners.rng, delay, stop_all()));
    spawn(
        &services,
        "hasher",
        hasher::run(listeners.hasher, delay, stop_all()),
    );
    let page = page::page(&config.files);
    spawn(
        &services,
        "webui",
        webui::run(listeners.webui, redis, page, stop_all()),
    );
    services.close();

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

fn start_workers(number: usize, config: &worker::Config, stop: &CancellationToken) -> TaskTracker {
    let workers = TaskTracker::new();
    for n in 1..=number {
        let worker = worker::run(config.clone(), stop.clone());
        spawn(&workers, &format!("worker_{n}"), async {
            if let Err(error) = worker.await {
                error!("{error:#}");
            }
        });
    }
    workers.close();
    workers
}

/// The span prefixes the log with the name of the service, as Compose does.
fn spawn(tasks: &TaskTracker, name: &str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(task.instrument(info_span!("service", service = %name)));
}

/// The URL on this machine.
fn url(listener: &TcpListener) -> io::Result<String> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}"))
}
