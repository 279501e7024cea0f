use std::path::PathBuf;

use chassis::{Env, Invalid, Program, Redis, Variable, variable};

const PORT: Variable<u16> = variable::port();
const REDIS_URL: Variable<redis::Client> = Redis::url("redis://redis");
const FILES: Variable<PathBuf> = files("files");

/// `FILES`, the directory of the page. A missing one is valid: the page is also embedded.
#[must_use]
pub const fn files(default: &'static str) -> Variable<PathBuf> {
    Variable {
        name: "FILES",
        default,
        about: "the directory of the page; missing files are served from the program",
        expected: "the path of a directory",
        parse: |value| Some(PathBuf::from(value)).filter(|path| !path.is_file()),
    }
}

/// Name, version and variables of webui.
pub const PROGRAM: Program = Program {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
    variables: &[PORT.help(), REDIS_URL.help(), FILES.help()],
};

/// The configuration of webui.
#[derive(Debug)]
pub struct Config {
    /// The port to listen on.
    pub port: u16,
    /// The client of redis.
    pub redis: redis::Client,
    /// The directory of the page, which need not exist.
    pub files: PathBuf,
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
            redis: REDIS_URL.read(env)?,
            files: FILES.read(env)?,
        })
    }
}
