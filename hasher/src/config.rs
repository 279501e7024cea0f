use std::time::Duration;

use clap::Parser;

/// SHA-256 over HTTP, concurrently
#[derive(Debug, Parser)]
#[command(name = "hasher")]
pub struct Config {
    /// The port to listen on
    #[arg(long, env, default_value = "80", value_parser = chassis::port)]
    pub port: u16,

    /// The simulated work of a request, such as 250ms or 1s; 0 means none
    // Change the default, rebuild, watch the graph.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::delay)]
    pub delay: Duration,
}
