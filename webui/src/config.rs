use std::path::PathBuf;

use chassis::{Env, Invalid, Program, Redis, Variable, variable};

const PORT: Variable<u16> = variable::port();
const REDIS_URL: Variable<redis::Client> = Redis::url("redis://redis");
const FILES: Variable<PathBuf> = files("files");

/// The variable that says where the page's files are.
#[must_use]
pub const fn files(default: &'static str) -> Variable<PathBuf> {
    Variable {
        name: "FILES",
        default,
        about: "the directory of the page; what is not there comes from the program itself",
        expected: "the path of a directory",
        parse: |value| Some(PathBuf::from(value)).filter(|path| !path.is_file()),
    }
}

/// What webui says about itself.
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
    /// Where redis is.
    pub redis: redis::Client,
    /// The directory of the page's files. It need not be there.
    pub files: PathBuf,
}

impl Config {
    /// The configuration that the environment asks for.
    ///
    /// # Errors
    ///
    /// When a variable is not valid.
    pub fn from_env(env: Env) -> Result<Self, Invalid> {
        Ok(Self {
            port: PORT.read(env)?,
            redis: REDIS_URL.read(env)?,
            files: FILES.read(env)?,
        })
    }
}
