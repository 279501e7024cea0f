//! An empty store for a test: in the Redis that `REDIS_URL` names if it is set, else one of ours.

use std::{env, process, thread::sleep, time::Duration};

use redis::{Client, Connection, ConnectionAddr};

use crate::MemoryRedis;

/// An empty store that no other test uses.
pub enum TestRedis {
    /// In memory, in this process.
    Embedded(MemoryRedis),
    /// A database of a real Redis.
    Redis(Lease),
}

/// One of the databases 1 to 15 of a Redis, ours until it is dropped; then it is emptied.
pub struct Lease {
    client: Client,
    database: i64,
}

/// Long enough for any test; after that a test that was killed does not hold on to its database.
const LEASE_SECONDS: u64 = 120;

/// How often to look for a free database, every 100 ms.
const TRIES: u32 = 600;

impl TestRedis {
    /// An empty store.
    ///
    /// # Panics
    ///
    /// When the Redis that `REDIS_URL` names does not answer, or has no empty database for a
    /// minute.
    pub async fn start() -> Self {
        match env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => Self::Redis(Lease::take(&url)),
            _ => Self::Embedded(MemoryRedis::start().await.expect("a loopback port")),
        }
    }

    /// What `REDIS_URL` must be for it.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Embedded(store) => store.url(),
            Self::Redis(lease) => lease.url(),
        }
    }
}

impl Lease {
    /// Takes a database that is empty: what is in one was not put there by a test.
    fn take(url: &str) -> Self {
        let client = Client::open(url).expect("REDIS_URL is not valid");
        let mut redis = client
            .get_connection()
            .expect("the Redis that REDIS_URL names does not answer");
        for _ in 0..TRIES {
            for database in 1..16 {
                if take(&mut redis, database)
                    .expect("REDIS_URL: a Redis in which a test may use databases 1 to 15")
                {
                    return Self { client, database };
                }
            }
            sleep(Duration::from_millis(100));
        }
        panic!(
            "REDIS_URL: no database from 1 to 15 is empty, and a test leaves alone what it did not put there"
        )
    }

    fn url(&self) -> String {
        let ConnectionAddr::Tcp(host, port) = self.client.get_connection_info().addr() else {
            panic!("REDIS_URL: the tests need a redis:// URL")
        };
        format!("redis://{host}:{port}/{}", self.database)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // If Redis is gone by now there is nothing to give back.
        let Ok(mut redis) = self.client.get_connection() else {
            return;
        };
        let _ = redis::pipe()
            .cmd("SELECT")
            .arg(self.database)
            .cmd("FLUSHDB")
            .exec(&mut redis);
        let _ = redis::pipe()
            .cmd("SELECT")
            .arg(0)
            .cmd("DEL")
            .arg(lease(self.database))
            .exec(&mut redis);
    }
}

fn take(redis: &mut Connection, database: i64) -> redis::RedisResult<bool> {
    redis::cmd("SELECT").arg(0).exec(redis)?;
    let taken: Option<String> = redis::cmd("SET")
        .arg(lease(database))
        .arg(process::id())
        .arg("NX")
        .arg("EX")
        .arg(LEASE_SECONDS)
        .query(redis)?;
    if taken.is_none() {
        return Ok(false);
    }
    redis::cmd("SELECT").arg(database).exec(redis)?;
    let size: u64 = redis::cmd("DBSIZE").query(redis)?;
    Ok(size == 0)
}

fn lease(database: i64) -> String {
    format!("dockercoins-test-{database}")
}
