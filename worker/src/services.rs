//! The other services, by their bare names: each function here is an arrow of the diagram.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use chassis::Redis;
use rand::{TryRng, rngs::SysRng};
use reqwest::{
    Client, RequestBuilder,
    header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};

use crate::Config;

pub(crate) const REDIS: &str = "redis://redis";
pub(crate) const RNG: &str = "http://rng";
pub(crate) const HASHER: &str = "http://hasher";

impl Services for Network {
    async fn get_random_bytes(&self) -> Result<[u8; 32]> {
        let request = self.http.get(format!("{}/32", self.rng));
        answer(request).await.context("cannot get random bytes")
    }

    async fn hash_bytes(&self, data: [u8; 32]) -> Result<String> {
        let request = self.http.post(format!("{}/", self.hasher));
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        let digest = answer(request.body(data.to_vec())).await;
        digest.and_then(hex_digits).context("cannot hash bytes")
    }

    async fn update_counter(&mut self, units: u64, number: u64) -> Result<()> {
        // Did redis count it, and only the answer was lost? WATCH is for a copy that is still on its
        // way: whichever comes second does nothing.
        let mut look = redis::pipe();
        look.cmd("WATCH").arg(&self.name).ignore().get(&self.name);
        let (last_update,): (Option<u64>,) = self.redis.query(&look).await?;
        if last_update == Some(number) {
            return Ok(());
        }
        let mut count = redis::pipe();
        count.atomic().incr("hashes", units).ignore();
        count.set_ex(&self.name, number, MEMORY.as_secs()).ignore();
        let counted: Option<()> = self.redis.query(&count).await?;
        counted.context("an earlier copy of this update came in between")
    }

    async fn store_coin(&mut self, digest: &str, bytes: &[u8]) -> Result<bool> {
        let (new,) = self
            .redis
            .query(redis::pipe().hset("wallet", digest, bytes))
            .await?;
        Ok(new)
    }
}

/// What a unit of work needs. A trait, so that the tests of the loop can do without a network.
pub(crate) trait Services {
    /// Asks rng for 32 bytes.
    async fn get_random_bytes(&self) -> Result<[u8; 32]>;

    /// Asks hasher for their SHA-256, 64 hexadecimal digits.
    async fn hash_bytes(&self, data: [u8; 32]) -> Result<String>;

    /// Adds to the counter in redis. However often it is asked to, it does so once for a `number`,
    /// which goes up with each update.
    async fn update_counter(&mut self, units: u64, number: u64) -> Result<()>;

    /// Puts a coin into the wallet in redis; false if it is there already.
    async fn store_coin(&mut self, digest: &str, bytes: &[u8]) -> Result<bool>;
}

/// The services as they are found on the network.
pub(crate) struct Network {
    http: Client,
    rng: String,
    hasher: String,
    redis: Redis,
    /// The key in redis that has the number of this worker's last update: `worker:` and 16 digits.
    name: String,
}

/// How long redis remembers the last update of a worker: that long one whose answer was lost is not
/// counted twice.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a connection to rng or hasher may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may take. It is long because rng's queue may be: a hundred workers wait ten
/// seconds in it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// How long the other side may be unreachable while we wait for its answer.
const SILENCE: Duration = Duration::from_secs(3);

impl Network {
    pub(crate) fn new(config: Config) -> Result<Self> {
        // A new connection for each request, to a name that is looked up anew: when a service is
        // scaled, moved or replaced behind its name, this worker follows at once.
        let no_keep_alive = [(CONNECTION, HeaderValue::from_static("close"))];
        let http = Client::builder()
            .default_headers(HeaderMap::from_iter(no_keep_alive))
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(ANSWER_PATIENCE)
            .tcp_keepalive(SILENCE)
            .tcp_keepalive_interval(Duration::from_secs(1))
            .tcp_keepalive_retries(2)
            .redirect(redirect::Policy::none())
            // The engine puts its own proxy into each container's environment; our services are not
            // behind it.
            .no_proxy()
            .build()?;
        let Config {
            rng, hasher, redis, ..
        } = config;
        Ok(Self {
            http,
            rng,
            hasher,
            redis: Redis::new(redis),
            name: format!("worker:{:016x}", SysRng.try_next_u64()?),
        })
    }
}

/// Sends `request` and reads the answer: 2xx and exactly `N` bytes, else it is an error.
async fn answer<const N: usize>(request: RequestBuilder) -> Result<[u8; N]> {
    let mut response = request.send().await?;
    ensure!(
        response.status().is_success(),
        "{} answers {}",
        response.url(),
        response.status()
    );
    let mut body = Vec::with_capacity(N);
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        ensure!(
            body.len() <= N,
            "{} answers more than {N} bytes",
            response.url()
        );
    }
    body.try_into().map_err(|body: Vec<u8>| {
        anyhow!(
            "{} answers {} bytes instead of {N}",
            response.url(),
            body.len()
        )
    })
}

fn hex_digits(digest: [u8; 64]) -> Result<String> {
    ensure!(
        digest.iter().all(u8::is_ascii_hexdigit),
        "the answer is not hexadecimal"
    );
    Ok(String::from_utf8(digest.to_vec())?)
}
