//! The clients of rng, hasher and redis, which are addressed by their bare names.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use chassis::{Redis, TRACEPARENT, traceparent};
use rand::{TryRng, rngs::SysRng};
use reqwest::{
    Client, RequestBuilder,
    header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};

use crate::Config;

/// Adds to the counter once, also when an update is sent again because its reply was lost. A script
/// that fails at its first write changes nothing.
const INCRBY_ONCE: &str = "
    local last = tonumber(redis.call('GET', KEYS[2])) or -1
    if last < tonumber(ARGV[2]) then
        redis.call('INCRBY', KEYS[1], ARGV[1])
        redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
    end";

/// How long redis keeps the sequence number of a worker's last update: a day.
const DEDUPLICATION_TTL: Duration = Duration::from_secs(86_400);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Long, because rng's queue may be: with a hundred workers it takes ten seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Detects a peer that vanished while we wait for its response.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(3);

/// `TCP_USER_TIMEOUT`: when the connection to such a peer fails.
#[cfg(target_os = "linux")]
const VANISHED_TIMEOUT: Duration = Duration::from_secs(5);

/// What a unit of work needs. A trait, so that tests of the loop need no network.
pub(crate) trait Services {
    /// Gets 32 bytes from rng.
    async fn get_random_bytes(&self) -> Result<[u8; 32]>;

    /// Gets their SHA-256 from hasher, 64 hexadecimal digits.
    async fn hash_bytes(&self, data: [u8; 32]) -> Result<String>;

    /// Adds `units` to the counter in redis. Idempotent for an `update`, a sequence number.
    async fn incrby_hashes(&self, units: u64, update: u64) -> Result<()>;

    /// Puts a coin into the wallet in redis; false if it is there already.
    async fn hset_wallet(&self, digest: &str, bytes: &[u8]) -> Result<bool>;
}

/// The services over the network.
pub(crate) struct RemoteServices {
    http: Client,
    rng: String,
    hasher: String,
    redis: Redis,
    /// The key of this worker's last update in redis: `worker:` and 16 digits.
    key: String,
}

pub(crate) const REDIS: &str = "redis://redis";
pub(crate) const RNG: &str = "http://rng";
pub(crate) const HASHER: &str = "http://hasher";

impl Services for RemoteServices {
    async fn get_random_bytes(&self) -> Result<[u8; 32]> {
        let request = self.http.get(format!("{}/32", self.rng));
        send(request).await.context("cannot get random bytes")
    }

    async fn hash_bytes(&self, data: [u8; 32]) -> Result<String> {
        let request = self.http.post(format!("{}/", self.hasher));
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        let digest = send(request.body(data.to_vec())).await;
        digest.and_then(hex_digits).context("cannot hash bytes")
    }

    async fn incrby_hashes(&self, units: u64, update: u64) -> Result<()> {
        let mut script = redis::pipe();
        script
            .cmd("EVAL")
            .arg(INCRBY_ONCE)
            .arg(2)
            .arg("hashes")
            .arg(&self.key);
        script
            .arg(units)
            .arg(update)
            .arg(DEDUPLICATION_TTL.as_secs());
        self.redis.query(script.ignore()).await
    }

    async fn hset_wallet(&self, digest: &str, bytes: &[u8]) -> Result<bool> {
        let hset = &mut redis::pipe();
        let (new,) = self.redis.query(hset.hset("wallet", digest, bytes)).await?;
        Ok(new)
    }
}

impl RemoteServices {
    pub(crate) fn new(config: Config) -> Result<Self> {
        // A new connection per request, to a freshly resolved name: when a service is scaled, moved
        // or replaced, this worker follows at once.
        let no_keep_alive = [(CONNECTION, HeaderValue::from_static("close"))];
        let http = Client::builder()
            .default_headers(HeaderMap::from_iter(no_keep_alive))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(RESPONSE_TIMEOUT)
            .tcp_keepalive(KEEPALIVE_IDLE)
            .tcp_keepalive_interval(Duration::from_secs(1))
            .tcp_keepalive_retries(2)
            .redirect(redirect::Policy::none())
            // The engine sets proxy variables in every container; our services are not behind it.
            .no_proxy();
        // Takes precedence over the number of keepalive retries, with a default of 30 s.
        #[cfg(target_os = "linux")]
        let http = http.tcp_user_timeout(VANISHED_TIMEOUT);
        Ok(Self {
            http: http.build()?,
            rng: config.rng_url,
            hasher: config.hasher_url,
            redis: Redis::new(config.redis_url),
            key: format!("worker:{:016x}", SysRng.try_next_u64()?),
        })
    }
}

/// Sends `request` and reads the response: anything but 2xx and exactly `N` bytes is an error.
async fn send<const N: usize>(mut request: RequestBuilder) -> Result<[u8; N]> {
    if let Some(trace) = traceparent() {
        request = request.header(TRACEPARENT, trace);
    }
    let mut response = request.send().await.map_err(in_short)?;
    ensure!(
        response.status().is_success(),
        "{} answers {}",
        response.url(),
        response.status()
    );
    let mut body = Vec::with_capacity(N);
    while let Some(chunk) = response.chunk().await.map_err(in_short)? {
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

/// The server and the innermost cause: the errors between them say the same again. A class reads
/// the ports to expose in the log of worker.
fn in_short(error: reqwest::Error) -> anyhow::Error {
    let failure = match error.url() {
        Some(url) if error.is_connect() => {
            let host = url.host_str().unwrap_or_default();
            let port = url.port_or_known_default().unwrap_or_default();
            format!("cannot connect to {host}:{port}")
        }
        Some(url) => format!("no answer from {url}"),
        None => "the answer is incomplete".to_owned(),
    };
    anyhow!("{failure}: {}", anyhow::Error::from(error).root_cause())
}

fn hex_digits(digest: [u8; 64]) -> Result<String> {
    ensure!(
        digest.iter().all(u8::is_ascii_hexdigit),
        "the answer is not hexadecimal"
    );
    Ok(String::from_utf8(digest.to_vec())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use memory_redis::testing::TestRedis;
    use redis::AsyncCommands;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        join,
        net::TcpListener,
        time::{Instant, timeout},
    };

    use super::*;

    /// The services, and the listener that is their rng.
    async fn with_rng() -> (RemoteServices, TcpListener) {
        let rng = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", rng.local_addr().unwrap());
        let config = Config::parse_from(["worker", "--rng-url", &url]);
        (RemoteServices::new(config).unwrap(), rng)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_falls_silent_is_a_failure_after_a_minute() {
        let (services, peer) = with_rng().await;
        let part = "HTTP/1.1 200 OK\r\ncontent-length: 32\r\n\r\nabc";
        for (sent, failure) in [
            ("", "no answer from http://"),
            (part, "the answer is incomplete: "),
        ] {
            let start = Instant::now();
            let answer = async {
                let (mut stream, _) = peer.accept().await.unwrap();
                let _request = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(sent.as_bytes()).await.unwrap();
                stream
            };
            let bytes = timeout(2 * RESPONSE_TIMEOUT, services.get_random_bytes());
            let (bytes, _open) = join!(bytes, answer);
            let error = format!("{:#}", bytes.expect("it waits forever").unwrap_err());
            assert_eq!(start.elapsed().as_secs(), 60, "{sent}: {error}");
            assert!(error.contains(failure), "{error}");
        }
    }

    // Fails without keepalive, and with the 15 s of reqwest.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_that_waits_for_a_response_has_a_keepalive_timer_of_three_seconds() {
        let (services, peer) = with_rng().await;
        let keepalive_timer = async {
            let (mut stream, client) = peer.accept().await.unwrap();
            let _request = stream.read(&mut [0; 1024]).await.unwrap();
            let local = format!("0100007F:{:04X}", client.port());
            loop {
                let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
                let mut sockets = sockets.lines().map(|line| line.split_whitespace());
                let mut socket = sockets.find(|socket| socket.clone().nth(1) == Some(&local));
                let timer = socket.as_mut().unwrap().nth(5).unwrap();
                // Until the request is acknowledged, the timer is the one of a retransmission.
                if let Some(ticks) = timer.strip_prefix("02:") {
                    break u64::from_str_radix(ticks, 16).unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        let ticks = tokio::select! {
            ticks = timeout(CONNECT_TIMEOUT, keepalive_timer) => ticks.expect("no keepalive timer"),
            bytes = services.get_random_bytes() => panic!("{bytes:?}"),
        };
        assert!(ticks <= 100 * KEEPALIVE_IDLE.as_secs(), "{ticks}");
    }

    #[tokio::test]
    async fn an_update_counts_once_and_after_an_error_again() {
        let test_redis = TestRedis::start().await;
        let config = Config::parse_from(["worker", "--redis-url", test_redis.url()]);
        let services = RemoteServices::new(config).unwrap();
        let client = redis::Client::open(test_redis.url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        // The last one is a duplicate that arrives late.
        for (units, update, hashes) in [(3, 0, 3), (3, 0, 3), (4, 9, 7), (5, 10, 12), (4, 9, 12)] {
            services.incrby_hashes(units, update).await.unwrap();
            assert_eq!(redis.get("hashes").await, Ok(hashes), "update {update}");
        }
        for broken in ["a word", "1.5", "9223372036854775807"] {
            let () = redis.set("hashes", broken).await.unwrap();
            let error = services.incrby_hashes(1, 11).await.unwrap_err();
            assert!(error.to_string().starts_with("redis failed: "), "{error}");
            assert_eq!(redis.get("hashes").await, Ok(broken.to_owned()));
        }
        let () = redis.set("hashes", 100).await.unwrap();
        services.incrby_hashes(1, 11).await.unwrap();
        assert_eq!(redis.get("hashes").await, Ok(101));
    }
}
