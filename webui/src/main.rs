//! The page, and the numbers that it draws.

use webui::{Config, PROGRAM};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (config, stop) = chassis::start(&PROGRAM, Config::from_env).await;
    let listener = chassis::listen(config.port)?;
    webui::run(listener, config.redis, config.files, stop).await;
    Ok(())
}
