//! SHA-256 over HTTP, concurrently.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(async |config: hasher::Config, stop| {
        let listener = chassis::listen(config.port, "PORT")?;
        hasher::run(listener, config.delay, stop).await;
        Ok(())
    })
}
