//! What the four services share: how they are configured, log, serve HTTP, tell that they are well,
//! and stop.
//!
//! A service's `main` reads like this, and everything that is special about it stands in its own
//! library:
//!
//! ```no_run
//! use chassis::{Invalid, Program, Variable, variable};
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
//! async fn main() -> anyhow::Result<()> {
//!     let (port, stop) = chassis::start(&PROGRAM, |env| PORT.read(env)).await;
//!     let listener = chassis::listen(port)?;
//!     let router = axum::Router::new().route("/", axum::routing::get("hello\n"));
//!     chassis::serve(listener, router, stop).await;
//!     Ok(())
//! }
//! ```

mod access_log;
mod connection;
mod health;
mod listen;
pub mod log;
#[cfg(feature = "redis")]
mod redis;
mod serve;
mod signal;
pub mod start;
pub mod variable;
mod work;

pub use listen::listen;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use serve::serve;
pub use start::{Program, start};
pub use tokio_util::sync::CancellationToken;
pub use variable::{Env, Help, Invalid, Variable};
pub use work::simulate_work;
