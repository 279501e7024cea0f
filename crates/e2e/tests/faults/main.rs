//! What a class may break on purpose, and what hostile clients may try: the application holds.
//!
//!     cargo test -p e2e --test faults -- --ignored --test-threads 1
//!
//! One test at a time, since they compare speeds. `FAULTS=7` repeats the faults of the run that
//! printed 7; `--nocapture` shows what was measured.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod attacks;
mod counting;
