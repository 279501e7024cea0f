//! SHA-256 over HTTP, many requests at a time.

use hasher::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (config, stop) = chassis::start(&PROGRAM, Config::from_env).await;
    let listener = chassis::listen(config.port)?;
    hasher::run(listener, config.delay, stop).await;
    Ok(())
}
