//! One connection to Redis.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::{BoxFuture, FutureExt};
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisResult,
    aio::MultiplexedConnection,
};

use crate::Variable;

/// Includes the DNS look-up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A lazy connection to Redis that resolves the name again for each new connection.
pub struct Redis {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// The variable `REDIS_URL`.
    #[must_use]
    pub const fn url(default: &'static str) -> Variable<Client> {
        Variable {
            name: "REDIS_URL",
            default,
            about: "the URL of redis",
            expected: "a URL such as redis://redis, redis://redis:6379/0 or redis://:password@redis",
            parse: |url| Client::open(url).ok(),
        }
    }

    /// Connects with the first query.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            connection: None,
        }
    }

    /// Sends `commands` and returns their replies.
    ///
    /// # Errors
    ///
    /// When Redis cannot be resolved or connected to within 1 s, does not reply within 1 s, or
    /// replies with an error. Whether the commands were executed is unknown then.
    pub async fn query<T: FromRedisValue>(&mut self, commands: &Pipeline) -> anyhow::Result<T> {
        // Cancel-safe: a failed or cancelled query drops its connection.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await.context("cannot connect to redis")?,
        };
        let replies = commands
            .query_async(&mut connection)
            .await
            .context("redis failed")?;
        self.connection = Some(connection);
        Ok(replies)
    }

    /// Boxed: see [`crate::serve()`].
    fn connect(&self) -> BoxFuture<'_, RedisResult<MultiplexedConnection>> {
        let connect = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(Some(RESPONSE_TIMEOUT));
            self.client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        };
        connect.boxed()
    }
}
