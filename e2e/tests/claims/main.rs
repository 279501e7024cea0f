//! What the workshop's labs say one will see, each as a test.
//!
//!     cargo test -p e2e --test claims -- --ignored
//!
//! The list of the tests is the list of the claims; what a class is told stands above each.
#![allow(clippy::unwrap_used)]

mod compose;
mod kubernetes;
mod page;
mod swarm;
