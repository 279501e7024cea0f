//! The page, and the counters that it plots.

use webui::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (config, stop) = chassis::start(&PROGRAM, Config::from_env).await;
    let listener = PROGRAM.or_exit(chassis::listen(config.port));
    webui::run(listener, config.redis, config.files, stop).await;
}
