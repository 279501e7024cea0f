use std::time::Duration;

use chassis::{Env, Invalid, Program, Variable, variable};

/// The simulated work of a request for bytes. Change it, rebuild, watch the graph.
const DELAY: Variable<Duration> = variable::delay("100ms");

const PORT: Variable<u16> = variable::port();

/// Name, version and variables of rng.
pub const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
    variables: &[PORT.help(), DELAY.help()],
};

/// The configuration of rng.
#[derive(Debug)]
pub struct Config {
    /// The port to listen on.
    pub port: u16,
    /// The simulated work of a request for bytes.
    pub delay: Duration,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When a variable is invalid.
    pub fn from_env(env: Env) -> Result<Self, Invalid> {
        Ok(Self {
            port: PORT.read(env)?,
            delay: DELAY.read(env)?,
        })
    }
}
