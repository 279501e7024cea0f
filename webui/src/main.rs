//! The page, and the counters that it plots.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(async |config: webui::Config, stop| {
        let listener = chassis::listen(config.port, "PORT")?;
        let page = webui::page(&config.files);
        webui::run(listener, config.redis_url, page, stop).await;
        Ok(())
    })
}
