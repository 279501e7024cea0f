//! The commands that the application uses, on the Redis in memory or, with `REDIS_URL` set, on a real
//! one.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use memory_redis::testing::TestRedis;
use redis::{AsyncCommands, ErrorKind, RedisResult, ServerErrorKind, aio::MultiplexedConnection};
use tokio::task::JoinSet;

async fn start() -> (TestRedis, MultiplexedConnection) {
    let server = TestRedis::start().await;
    let redis = connect(&server).await;
    (server, redis)
}

async fn connect(server: &TestRedis) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn a_counter_is_nil_at_first_and_adds_up() {
    let (_server, mut redis) = start().await;
    let replies: RedisResult<(Option<String>, i64, i64, String, i64, i64)> = redis::pipe()
        .get("hashes")
        .incr("hashes", 0)
        .incr("hashes", 4)
        .get("hashes")
        .del("hashes")
        .del("hashes")
        .query_async(&mut redis)
        .await;
    assert_eq!(replies, Ok((None, 0, 4, "4".to_owned(), 1, 0)));
}

#[tokio::test]
async fn a_field_is_new_once() {
    let (_server, mut redis) = start().await;
    let bytes: &[u8] = &[0, 255, b'\r', b'\n'];
    assert_eq!(redis.hlen("wallet").await, Ok(0));
    assert_eq!(redis.hset("wallet", "0abc", bytes).await, Ok(1));
    assert_eq!(redis.hset("wallet", "0abc", bytes).await, Ok(0));
    assert_eq!(redis.hlen("wallet").await, Ok(1));
    let wallet: HashMap<String, Vec<u8>> = redis.hgetall("wallet").await.unwrap();
    assert_eq!(wallet, HashMap::from([("0abc".to_owned(), bytes.to_vec())]));
}

#[tokio::test]
async fn concurrent_connections_share_a_counter() {
    let (server, mut redis) = start().await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let mut redis = connect(&server).await;
        clients.spawn(async move {
            for _ in 0..50 {
                let _: i64 = redis.incr("hashes", 1).await.unwrap();
            }
        });
    }
    clients.join_all().await;
    assert_eq!(redis.get("hashes").await, Ok(Some("400".to_owned())));
}

#[tokio::test]
async fn wrong_types_invalid_integers_and_overflows_are_errors() {
    let (_server, mut redis) = start().await;
    let _: i64 = redis.incr("hashes", i64::MAX).await.unwrap();
    let overflow: RedisResult<i64> = redis.incr("hashes", 1).await;
    assert!(overflow.unwrap_err().to_string().contains("overflow"));
    let number: RedisResult<i64> = redis.incr("hashes", "four").await;
    assert!(number.unwrap_err().to_string().contains("not an integer"));
    let _: i64 = redis.hset("wallet", "0abc", 1).await.unwrap();
    let wrong_types: [RedisResult<i64>; 4] = [
        redis.hset("hashes", "field", "value").await,
        redis.hlen("hashes").await,
        redis.get("wallet").await,
        redis.incr("wallet", 1).await,
    ];
    for error in wrong_types {
        assert_eq!(error.unwrap_err().code(), Some("WRONGTYPE"));
    }
    assert_eq!(redis.get("hashes").await, Ok(Some(i64::MAX.to_string())));
    assert_eq!(redis.hlen("wallet").await, Ok(1));
}

#[tokio::test]
async fn an_unknown_command_is_an_error_and_keeps_the_connection() {
    let (_server, mut redis) = start().await;
    let unknown: RedisResult<String> = redis::cmd("MINE").query_async(&mut redis).await;
    let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
    assert_eq!(unknown.unwrap_err().kind(), kind);
    assert_eq!(
        redis::cmd("PING").query_async(&mut redis).await,
        Ok("PONG".to_owned())
    );
}
