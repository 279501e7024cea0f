//! The loop: asks rng, asks hasher, counts in redis.

use worker::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let stop = chassis::stop_on_signal()?;
    let config = chassis::start(&PROGRAM, Config::from_env).await;
    worker::run(config, stop).await
}
