//! What the application relies on, asked of the embedded store and, with `REDIS_URL` set, of a real
//! Redis.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use memory_redis::testing::TestRedis;
use redis::{AsyncCommands, ErrorKind, RedisResult, ServerErrorKind, aio::MultiplexedConnection};

async fn connect() -> (TestRedis, MultiplexedConnection) {
    let store = TestRedis::start().await;
    let client = redis::Client::open(store.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    (store, connection)
}

#[tokio::test]
async fn a_counter_begins_as_nothing_and_adds_up() {
    let (_store, mut redis) = connect().await;
    assert_eq!(redis.get("hashes").await, Ok(None::<String>));
    assert_eq!(redis.incr("hashes", 0).await, Ok(0));
    assert_eq!(redis.get("hashes").await, Ok(Some("0".to_owned())));
    assert_eq!(redis.incr("hashes", 4).await, Ok(4));
    assert_eq!(redis.incr("hashes", 4).await, Ok(8));
    assert_eq!(redis.get("hashes").await, Ok(Some("8".to_owned())));
}

#[tokio::test]
async fn a_field_is_new_once() {
    let (_store, mut redis) = connect().await;
    let bytes: &[u8] = &[0, 255, b'\r', b'\n'];
    assert_eq!(redis.hlen("wallet").await, Ok(0));
    assert_eq!(redis.hset("wallet", "0abc", bytes).await, Ok(1));
    assert_eq!(redis.hset("wallet", "0abc", bytes).await, Ok(0));
    assert_eq!(redis.hlen("wallet").await, Ok(1));
    let wallet: HashMap<String, Vec<u8>> = redis.hgetall("wallet").await.unwrap();
    assert_eq!(wallet, HashMap::from([("0abc".to_owned(), bytes.to_vec())]));
}

#[tokio::test]
async fn many_connections_count_together() {
    let store = TestRedis::start().await;
    let client = redis::Client::open(store.url()).unwrap();
    let count = |client: redis::Client| async move {
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        for _ in 0..50 {
            let _: i64 = redis.incr("hashes", 1).await.unwrap();
        }
    };
    let workers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(count(client.clone())))
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(redis.get("hashes").await, Ok(Some("400".to_owned())));
}

#[tokio::test]
async fn commands_can_be_sent_together() {
    let (_store, mut redis) = connect().await;
    let answers: RedisResult<(i64, Option<String>)> = redis::pipe()
        .hlen("wallet")
        .get("hashes")
        .query_async(&mut redis)
        .await;
    assert_eq!(answers, Ok((0, None)));
}

#[tokio::test]
async fn a_transaction_counts_and_sets_together() {
    let (_store, mut redis) = connect().await;
    let counted: RedisResult<Option<(i64,)>> = redis::pipe()
        .atomic()
        .incr("hashes", 4)
        .set_ex("worker:1", 7, 60)
        .ignore()
        .query_async(&mut redis)
        .await;
    assert_eq!(counted, Ok(Some((4,))));
    assert_eq!(redis.get("worker:1").await, Ok(Some(7)));
}

#[tokio::test]
async fn a_transaction_does_nothing_once_somebody_wrote_what_it_watches() {
    let (store, mut redis) = connect().await;
    let client = redis::Client::open(store.url()).unwrap();
    let mut other = client.get_multiplexed_async_connection().await.unwrap();
    let count = async |redis: &mut MultiplexedConnection| -> RedisResult<Option<(i64,)>> {
        redis::pipe()
            .atomic()
            .incr("hashes", 4)
            .query_async(redis)
            .await
    };
    redis::cmd("WATCH")
        .arg("worker:1")
        .exec_async(&mut redis)
        .await
        .unwrap();
    let () = other.set_ex("worker:1", 1, 60).await.unwrap();
    assert_eq!(count(&mut redis).await, Ok(None));
    // EXEC ends the watch.
    let () = other.set_ex("worker:1", 2, 60).await.unwrap();
    assert_eq!(count(&mut redis).await, Ok(Some((4,))));
    // Other keys do not matter.
    redis::cmd("WATCH")
        .arg("worker:1")
        .exec_async(&mut redis)
        .await
        .unwrap();
    let () = other.set_ex("worker:2", 1, 60).await.unwrap();
    assert_eq!(count(&mut redis).await, Ok(Some((8,))));
}

#[tokio::test]
async fn a_key_of_the_wrong_kind_a_number_that_is_none_and_an_overflow_are_errors() {
    let (_store, mut redis) = connect().await;
    let _: i64 = redis.incr("hashes", i64::MAX).await.unwrap();
    let overflow: RedisResult<i64> = redis.incr("hashes", 1).await;
    assert!(overflow.unwrap_err().to_string().contains("overflow"));
    let number: RedisResult<i64> = redis.incr("hashes", "four").await;
    assert!(number.unwrap_err().to_string().contains("not an integer"));
    let wrong: RedisResult<i64> = redis.hset("hashes", "field", "value").await;
    assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
    let wrong: RedisResult<i64> = redis.hlen("hashes").await;
    assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
    assert_eq!(redis.get("hashes").await, Ok(Some(i64::MAX.to_string())));
}

#[tokio::test]
async fn an_unknown_command_is_an_error_and_the_connection_goes_on() {
    let (_store, mut redis) = connect().await;
    let unknown: RedisResult<String> = redis::cmd("MINE").query_async(&mut redis).await;
    assert_eq!(
        unknown.unwrap_err().kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError)
    );
    assert_eq!(
        redis::cmd("PING").query_async(&mut redis).await,
        Ok("PONG".to_owned())
    );
}
