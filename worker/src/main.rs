//! The loop: random bytes from rng, their digest from hasher, a count in redis.

use worker::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (config, stop) = chassis::start(&PROGRAM, Config::from_env).await;
    PROGRAM.or_exit(worker::run(config, stop).await);
}
