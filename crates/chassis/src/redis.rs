//! One connection to Redis.

use std::{ffi::OsStr, mem, sync::Arc, time::Duration};

use anyhow::anyhow;
use clap::{
    Arg, Command,
    builder::{StringValueParser, TypedValueParser},
    error::ErrorKind,
};
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisResult,
    aio::MultiplexedConnection,
};
use tokio::sync::Mutex;

/// Includes the DNS look-up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Parses the URL of a Redis. Its errors omit the password.
#[derive(Debug, Clone)]
pub struct RedisUrl;

impl TypedValueParser for RedisUrl {
    type Value = Client;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Client, clap::Error> {
        let url = StringValueParser::new().parse_ref(command, arg, value)?;
        Client::open(&*url).map_err(|_| {
            let url = url
                .rsplit_once('@')
                .map_or(url.clone(), |(_, host)| format!("...@{host}"));
            let expected =
                "a URL such as redis://redis, redis://redis:6379/0 or redis://:password@redis";
            let message = format!(
                "invalid value '{url}' for '--redis-url <REDIS_URL>': it must be {expected}\n"
            );
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// A connection to Redis, which its clones share: their queries do not wait for one another. It is
/// opened by the first query, to a freshly resolved name.
#[derive(Clone)]
pub struct Redis {
    client: Arc<Client>,
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl Redis {
    /// Connects with the first query.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client: Arc::new(client),
            connection: Arc::default(),
        }
    }

    /// Sends `commands` and returns their replies.
    ///
    /// # Errors
    ///
    /// When Redis cannot be resolved or connected to within 1 s, does not reply within 1 s, or
    /// replies with an error. Whether the commands were executed is unknown then.
    pub async fn query<T: FromRedisValue>(&self, commands: &Pipeline) -> anyhow::Result<T> {
        // As text: an error of the client repeats its source.
        let connection = self.connect().await.map_err(|error| {
            let address = self.client.get_connection_info().addr();
            anyhow!("cannot connect to {address}: {error}")
        })?;
        let unanswered = Unanswered(&self.connection);
        let replies = commands.query_async(&mut { connection }).await;
        let replies = replies.map_err(|error| anyhow!("redis failed: {error}"))?;
        mem::forget(unanswered);
        Ok(replies)
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut shared = self.connection.lock().await;
        if let Some(connection) = &*shared {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        Ok(shared.insert(connection.await?).clone())
    }
}

/// A query that failed, or was cancelled: the next one connects again.
struct Unanswered<'a>(&'a Mutex<Option<MultiplexedConnection>>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        // Locked, it is about to be connected again.
        if let Ok(mut connection) = self.0.try_lock() {
            *connection = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        select, try_join,
    };

    use super::*;

    // Fails when a query keeps the connection to itself until it has its replies.
    #[tokio::test]
    async fn queries_do_not_wait_for_one_another() {
        let (redis, server) = redis_and_server().await;
        let reply = async {
            Ok(receive(&server, 2)
                .await
                .write_all(b"+PONG\r\n+PONG\r\n")
                .await?)
        };
        try_join!(ping(&redis), ping(&redis), reply).unwrap();
    }

    // Fails, by the timeout of a query, when `Unanswered` keeps the connection.
    #[tokio::test]
    async fn after_a_query_that_failed_or_was_cancelled_the_next_one_connects_again() {
        let (redis, server) = redis_and_server().await;
        let _cancelled = select! {
            result = ping(&redis) => panic!("{result:?}"),
            connection = receive(&server, 1) => connection,
        };
        for (reply, expected) in [("-ERR no\r\n", "redis failed: "), ("+PONG\r\n", "")] {
            let reply = async {
                Ok(receive(&server, 1)
                    .await
                    .write_all(reply.as_bytes())
                    .await?)
            };
            let error = try_join!(ping(&redis), reply)
                .map_or_else(|error| error.to_string(), |_| String::new());
            assert!(
                error.starts_with(expected) && error.is_empty() == expected.is_empty(),
                "{error}"
            );
        }
    }

    async fn redis_and_server() -> (Redis, TcpListener) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", server.local_addr().unwrap());
        (Redis::new(Client::open(url).unwrap()), server)
    }

    async fn ping(redis: &Redis) -> anyhow::Result<()> {
        redis.query(redis::pipe().ping().ignore()).await
    }

    /// The next connection, once it has received so many pings.
    async fn receive(server: &TcpListener, pings: usize) -> TcpStream {
        let (mut connection, _) = server.accept().await.unwrap();
        let (mut received, mut greetings) = (String::new(), 0);
        while received.matches("PING").count() < pings {
            let mut bytes = [0; 1024];
            let size = connection.read(&mut bytes).await.unwrap();
            received += str::from_utf8(&bytes[..size]).unwrap();
            // What a client tells about itself when it connects.
            let replies = received.matches("SETINFO").count() - greetings;
            connection
                .write_all("+OK\r\n".repeat(replies).as_bytes())
                .await
                .unwrap();
            greetings += replies;
        }
        connection
    }
}
