use std::path::PathBuf;

use chassis::RedisUrl;
use clap::Parser;

/// The page, and the counters that it plots
#[derive(Debug, Parser)]
#[command(name = "webui")]
pub struct Config {
    /// The port to listen on
    #[arg(long, env, default_value = "80", value_parser = chassis::port)]
    pub port: u16,

    /// The URL of redis
    #[arg(long, env, default_value = "redis://redis", value_parser = RedisUrl, hide_env_values = true)]
    pub redis_url: redis::Client,

    /// The directory of the page; files missing there are served from the image
    #[arg(long, env, default_value = "files")]
    pub files: PathBuf,
}
