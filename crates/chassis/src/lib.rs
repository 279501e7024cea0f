//! What the four services share: configuration, log, metrics, HTTP server, health check and
//! graceful shutdown.
//!
//! A service reads like this:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use chassis::Metrics;
//! use clap::Parser;
//!
//! /// says hello
//! #[derive(Parser)]
//! #[command(name = "hello")]
//! struct Config {
//!     /// The port to listen on
//!     #[arg(long, env, default_value = "80", value_parser = chassis::port)]
//!     port: u16,
//! }
//!
//! fn main() -> ExitCode {
//!     chassis::main(async |config: Config, stop| {
//!         let listener = chassis::listen(config.port, "PORT")?;
//!         let router = axum::Router::new().route("/", axum::routing::get("hello\n"));
//!         chassis::serve(listener, router, Metrics::new("hello"), stop).await;
//!         Ok(())
//!     })
//! }
//! ```

mod config;
mod health;
mod listen;
mod log;
pub mod metrics;
#[cfg(feature = "otel")]
mod otel;
mod program;
#[cfg(feature = "redis")]
mod redis;
mod requests;
mod serve;
mod signal;
mod simulated_work;
mod trace;

pub use config::{delay, port};
pub use listen::{bind_error, listen};
pub use metrics::Metrics;
pub use program::{REVISION, main};
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisUrl};
pub use serve::{serve, serve_metrics};
pub use simulated_work::SimulatedWork;
pub use tokio_util::sync::CancellationToken;
pub use trace::{TRACEPARENT, in_trace, traceparent};
