//! An empty Redis for a test.

use std::{env, time::Duration};

use redis::{Client, Commands, RedisResult};
use tokio::time::sleep;

use crate::MemoryRedis;

/// A Redis in memory or, with `REDIS_URL` set, an empty database of that Redis, which no other test
/// uses until this is dropped.
pub struct TestRedis {
    url: String,
    memory: Option<MemoryRedis>,
}

/// A test that finds each database in use tries again for a minute.
const TRIES: u32 = 600;

impl TestRedis {
    /// An empty Redis.
    ///
    /// # Panics
    ///
    /// When the Redis that `REDIS_URL` names does not reply, or has no empty database from 1 to 15.
    pub async fn start() -> Self {
        match env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => Self::lease(&url).await,
            _ => {
                let memory = MemoryRedis::start().await.expect("a loopback port");
                Self {
                    url: memory.url(),
                    memory: Some(memory),
                }
            }
        }
    }

    async fn lease(server: &str) -> Self {
        for _ in 0..TRIES {
            for database in 1..16 {
                let url = format!("{server}/{database}");
                if lease(&url).expect("REDIS_URL: a Redis with 16 databases, such as redis://host")
                {
                    return Self { url, memory: None };
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("REDIS_URL: no database from 1 to 15 is empty, and a test flushes only its own")
    }

    /// Its URL, for `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        if self.memory.is_none() {
            // Best effort: a panic during another one would abort the tests.
            let _ = Client::open(self.url())
                .and_then(|client| client.get_connection()?.flushdb::<()>());
        }
    }
}

/// Whether the database was empty, and is now marked as ours.
fn lease(url: &str) -> RedisResult<bool> {
    let mut redis = Client::open(url)?.get_connection()?;
    let size: u64 = redis::cmd("DBSIZE").query(&mut redis)?;
    Ok(size == 0 && redis.set_nx("dockercoins-test", 1)?)
}
