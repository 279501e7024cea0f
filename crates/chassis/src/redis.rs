//! One connection to Redis.

use std::time::Duration;

use anyhow::Context;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, aio::MultiplexedConnection};

use crate::Variable;

/// How long to wait for a connection, the look-up of the name included.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// A Redis by its URL. It is found by its name at each connection, and a connection that failed is
/// not used again.
pub struct Redis {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// What a URL of Redis looks like.
    pub const EXPECTED: &str =
        "a URL such as redis://redis, redis://redis:6379/0 or redis://:password@redis";

    /// The variable that says where Redis is.
    #[must_use]
    pub const fn url(default: &'static str) -> Variable<Client> {
        Variable {
            name: "REDIS_URL",
            default,
            about: "where redis is",
            expected: Self::EXPECTED,
            parse: Self::parse,
        }
    }

    /// The client of a URL; `None` if it is not valid.
    #[must_use]
    pub fn parse(url: &str) -> Option<Client> {
        Client::open(url).ok()
    }

    /// Connects at the first query, not now.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            connection: None,
        }
    }

    /// Sends `commands` and returns their answers.
    ///
    /// # Errors
    ///
    /// When Redis is not found, refuses or does not answer within 2 s. The next query then connects
    /// anew. Whether the commands were carried out is not known.
    pub async fn query<T: FromRedisValue>(&mut self, commands: &Pipeline) -> anyhow::Result<T> {
        // It is put back only once it has served: a query that fails, or is given up, takes its
        // connection along.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await.context("cannot connect to redis")?,
        };
        let answers = commands
            .query_async(&mut connection)
            .await
            .context("redis failed")?;
        self.connection = Some(connection);
        Ok(answers)
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(Some(ANSWER_PATIENCE));
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }
}
