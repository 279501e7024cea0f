//! Random bytes over HTTP, one request at a time.

use rng::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (config, stop) = chassis::start(&PROGRAM, Config::from_env).await;
    let listener = PROGRAM.or_exit(chassis::listen(config.port));
    rng::run(listener, config.delay, stop).await;
}
