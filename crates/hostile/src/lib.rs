//! Hostile HTTP requests and configuration values, and what must hold of every response to them.
//!
//! The tests of each service use it on the service's own `run`, over a socket.

mod client;
mod mutation;
mod property;
mod requests;
mod server;
mod targets;
mod values;

pub use client::{Received, get, send, send_then_half_close};
pub use property::check;
pub use requests::{requests, split};
pub use server::ServerUnderTest;
pub use targets::targets;
pub use values::{ensure_one_line, values};

/// Bytes as a literal that can be pasted into a test.
#[must_use]
pub fn literal(bytes: &[u8]) -> String {
    format!("b\"{}\"", bytes.escape_ascii())
}
