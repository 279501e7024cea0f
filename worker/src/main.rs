//! The loop: random bytes from rng, their digest from hasher, a count in redis.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(worker::run)
}
