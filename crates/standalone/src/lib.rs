//! The whole application in one process, for a laptop without Docker, and for its tests.
//!
//! The services are the same library functions that their own binaries call, and they talk over the
//! same protocols, on the loopback interface.

use std::{io::ErrorKind, net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use chassis::{CancellationToken, Env, Invalid, Program, Redis, Variable, variable};
use memory_redis::MemoryRedis;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, error, info, info_span};

const DELAY: Variable<Duration> = variable::delay("100ms");
const FILES: Variable<PathBuf> = webui::files("webui/files");
const REDIS_URL: Variable<Option<redis::Client>> = Variable {
    name: "REDIS_URL",
    default: "",
    about: "where redis is; if not set, a store in memory takes its place",
    expected: Redis::EXPECTED,
    parse: |value| {
        if value.is_empty() {
            Some(None)
        } else {
            Redis::parse(value).map(Some)
        }
    },
};

/// What standalone says about itself.
pub const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
    variables: &[REDIS_URL.help(), DELAY.help(), FILES.help()],
};

/// The arguments that it takes.
pub const USAGE: &str = "standalone               runs webui, rng and hasher, and a worker
  --workers NUMBER       so many workers [default: 1]
  --port PORT            webui on this port, rng and hasher on the next two [default: 8000]
  --version
";

/// The configuration of the application.
#[derive(Debug)]
pub struct Config {
    /// How many workers.
    pub workers: usize,
    /// The simulated work, of rng, hasher and workers alike.
    pub delay: Duration,
    /// Where redis is; `None` for a store in memory.
    pub redis: Option<redis::Client>,
    /// The directory of the page's files.
    pub files: PathBuf,
}

impl Config {
    /// The configuration that the environment asks for.
    ///
    /// # Errors
    ///
    /// When a variable is not valid.
    pub fn from_env(env: Env, workers: usize) -> Result<Self, Invalid> {
        let (delay, redis, files) = (DELAY.read(env)?, REDIS_URL.read(env)?, FILES.read(env)?);
        Ok(Self {
            workers,
            delay,
            redis,
            files,
        })
    }
}

/// What the services listen on.
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
    /// Listens on `port` and the two that follow it, on 127.0.0.1 alone; on any free ones for 0.
    ///
    /// # Errors
    ///
    /// When one of them is taken.
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
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                anyhow!(
                    "port {port} is taken: stop what listens there, or use others, say --port 9000"
                )
            }
            _ => anyhow!("cannot listen on port {port}: {error}"),
        })
}

/// Runs the application until `stop` is cancelled: the workers end first, as under Compose.
///
/// # Errors
///
/// When there is no port left for the store.
pub async fn run(
    listeners: Listeners,
    config: Config,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Listeners { webui, rng, hasher } = listeners;
    let Config {
        workers,
        delay,
        redis,
        files,
    } = config;
    let (store, redis) = if let Some(client) = redis {
        (None, client)
    } else {
        let store = MemoryRedis::start()
            .await
            .context("cannot start the store")?;
        let client = redis::Client::open(store.url())?;
        (Some(store), client)
    };
    let url = |listener: &TcpListener| {
        listener
            .local_addr()
            .map(|address| format!("http://{address}"))
    };
    let worker = worker::Config {
        rng: url(&rng)?,
        hasher: url(&hasher)?,
        redis: redis.clone(),
        delay,
    };
    let kept = if store.is_some() {
        "in memory"
    } else {
        "in redis"
    };
    info!(
        "DockerCoins: {workers} workers, rng on {}, hasher on {}, counting {kept}",
        worker.rng, worker.hasher
    );
    info!("Open {}/ in a browser; ^C ends it", url(&webui)?);

    let (services, stop_services) = (TaskTracker::new(), CancellationToken::new());
    services.spawn(rng::run(rng, delay, stop_services.clone()).instrument(span("rng")));
    services.spawn(hasher::run(hasher, delay, stop_services.clone()).instrument(span("hasher")));
    services
        .spawn(webui::run(webui, redis, files, stop_services.clone()).instrument(span("webui")));
    let crew = TaskTracker::new();
    for n in 1..=workers {
        let (worker, stop) = (worker.clone(), stop.clone());
        let work = async move {
            if let Err(error) = worker::run(worker, stop).await {
                error!("{error:#}");
            }
        };
        crew.spawn(work.instrument(span(&format!("worker_{n}"))));
    }

    stop.cancelled().await;
    crew.close();
    crew.wait().await;
    stop_services.cancel();
    services.close();
    services.wait().await;
    Ok(())
}

/// Puts the name of the service in front of its log lines.
fn span(name: &str) -> Span {
    info_span!("service", %name)
}
