//! The log lines that tests look for.

/// Of rng, when it serves a worker.
pub const RNG_ACCESS: &str = "] \"GET /32 HTTP/1.1\" 200 32 0.1";
/// Of hasher, when it serves a worker.
pub const HASHER_ACCESS: &str = "] \"POST / HTTP/1.1\" 200 64 0.1";
/// Of worker once a second, after the number of units.
pub const UPDATE: &str = "units of work done, updating hash counter";
/// Of worker when a unit begins, with `DEBUG=y`.
pub const UNIT: &str = "Doing one unit of work";
/// Of worker when a unit has no coin, with `DEBUG=y`.
pub const NO_COIN: &str = "No coin found";
/// Of worker when a unit has a coin.
pub const COIN: &str = "Coin found";
/// Of worker after a failure, before the seconds until it tries again.
pub const RETRY: &str = "Waiting ";
/// Of worker when it stops and cannot reach redis, after the number of units.
pub const LOST: &str = " units of work are lost";
/// Of a service that gets SIGTERM.
pub const TERM: &str = "SIGTERM ";
