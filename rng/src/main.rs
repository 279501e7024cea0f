//! Random bytes over HTTP, one request at a time.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(async |config: rng::Config, stop| {
        let listener = chassis::listen(config.port, "PORT")?;
        rng::run(listener, config.delay, stop).await;
        Ok(())
    })
}
