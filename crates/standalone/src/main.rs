//! The whole application in one process, without Docker.

use std::process::ExitCode;

use standalone::{Config, Listeners};

fn main() -> ExitCode {
    chassis::main(async |config: Config, stop| {
        let listeners = Listeners::bind(config.address, config.port).await?;
        standalone::run(listeners, config, stop).await
    })
}
