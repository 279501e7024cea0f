//! What the four services share: configuration, log, metrics, HTTP server, health check and
//! graceful shutdown.
//!
//! A service's `main` reads like this:
//!
//! ```no_run
//! use chassis::{Metrics, Program, Variable, variable};
//!
//! const PORT: Variable<u16> = variable::port();
//! const PROGRAM: Program = Program {
//!     name: "hello",
//!     version: "1.0.0",
//!     about: "says hello",
//!     variables: &[PORT.help()],
//! };
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let (port, stop) = chassis::start(&PROGRAM, |env| PORT.read(env)).await;
//!     let listener = PROGRAM.or_exit(chassis::listen(port));
//!     let router = axum::Router::new().route("/", axum::routing::get("hello\n"));
//!     chassis::serve(listener, router, Metrics::new(&PROGRAM), stop).await;
//! }
//! ```

mod access_log;
mod connection;
mod error;
mod health;
mod json;
mod listen;
mod log;
pub mod metrics;
#[cfg_attr(not(feature = "otel"), path = "no_otel.rs")]
mod otel;
#[cfg(target_os = "linux")]
mod process;
mod program;
#[cfg(feature = "redis")]
mod redis;
mod serve;
mod signal;
mod trace;
pub mod variable;
mod work;

pub use error::chain;
pub use listen::{bind_error, listen, listen_as};
pub use metrics::Metrics;
pub use otel::export_spans;
pub use program::{Program, configure, print_and_exit, start};
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use serve::{serve, serve_metrics};
pub use tokio_util::sync::CancellationToken;
pub use trace::Trace;
pub use variable::{Env, Help, Invalid, Variable};
pub use work::Work;
