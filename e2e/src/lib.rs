//! What the tests of the whole application share: the application on real containers.
//!
//! The tests themselves are in `tests/` and ignored by default, since they need a Docker engine, or
//! a browser.

pub mod compose;
