//! SHA-256 over HTTP, concurrently.

use hasher::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (config, stop) = chassis::start(&PROGRAM, Config::from_env).await;
    let listener = PROGRAM.or_exit(chassis::listen(config.port));
    hasher::run(listener, config.delay, stop).await;
}
