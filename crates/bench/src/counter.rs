//! The speed, from the moments at which the counter moves.
//!
//! Redis reports each command with its time and its client. A worker counts between two units, so
//! from one of its updates to another it has done exactly the units that it counted: no look at the
//! counter has to fall on the right moment, and none costs time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use redis::{Client, Connection, FromRedisValue};

use crate::command::wait_until;

/// How long the workers may take until each has counted.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// An update of the counter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Move {
    /// Unix time in seconds, by the clock of Redis.
    pub(crate) time: f64,
    worker: String,
    units: u32,
}

/// Tries for a minute: with a full table of neighbours, a connection may fail.
fn connect(client: &Client) -> Result<Connection> {
    let mut connection = client.get_connection();
    let start = Instant::now();
    while connection.is_err() && start.elapsed() < READY_TIMEOUT {
        sleep(Duration::from_millis(100));
        connection = client.get_connection_with_timeout(Duration::from_secs(5));
    }
    connection.context("redis")
}

/// Watches the counter of a Redis.
pub(crate) struct Counter(Arc<Mutex<Vec<Move>>>);

impl Counter {
    pub(crate) fn watch(redis: IpAddr) -> Result<Self> {
        let client = Client::open(format!("redis://{redis}/"))?;
        let mut connection = connect(&client)?;
        connection.send_packed_command(&redis::cmd("MONITOR").get_packed_command())?;
        let moves = Arc::new(Mutex::new(Vec::new()));
        let counter = Self(Arc::clone(&moves));
        // Ends with the connection.
        thread::spawn(move || {
            while let Ok(reply) = connection.recv_response() {
                let line = String::from_redis_value(reply).unwrap_or_default();
                if let Some(update) = parse(&line) {
                    lock(&moves).push(update);
                }
            }
        });
        Ok(counter)
    }

    /// Waits until each worker has done units, and returns how many have.
    pub(crate) fn ready(&self, workers: u32) -> usize {
        let working = || {
            let moves = lock(&self.0);
            let working = moves.iter().filter(|update| update.units > 0);
            let workers: BTreeSet<_> = working.map(|update| &update.worker).collect();
            workers.len()
        };
        // Some may be unable to: the figure says so.
        let _ = wait_until(READY_TIMEOUT, || Ok(working() >= workers as usize));
        working()
    }

    /// Hashes per second over `window`, from now on.
    pub(crate) fn speed(&self, window: Duration) -> f64 {
        let start = lock(&self.0).len();
        sleep(window);
        speed(&lock(&self.0)[start..])
    }

    /// Waits until so many more units are done.
    pub(crate) fn wait_for_units(&self, units: u64) -> Result<()> {
        let start = lock(&self.0).len();
        wait_until(Duration::from_secs(3600), || {
            let moves = lock(&self.0);
            Ok(moves[start..]
                .iter()
                .map(|update| u64::from(update.units))
                .sum::<u64>()
                >= units)
        })
    }

    /// Waits for the first unit, and returns its time.
    pub(crate) fn first_unit(&self) -> Result<f64> {
        self.ready(1);
        let moves = lock(&self.0);
        let first = moves.iter().find(|update| update.units > 0);
        Ok(first.context("the workers do not work")?.time)
    }
}

fn lock(moves: &Mutex<Vec<Move>>) -> MutexGuard<'_, Vec<Move>> {
    moves.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of `1795425502.123456 [0 172.19.0.5:50412] "INCRBY" "hashes" "4"`.
fn parse(line: &str) -> Option<Move> {
    let mut words = line.split_whitespace();
    let time = words.next()?.parse().ok()?;
    let (worker, _) = words.nth(1)?.rsplit_once(':')?;
    let command: Vec<&str> = words.map(|word| word.trim_matches('"')).collect();
    match command[..] {
        [incrby, "hashes", units] if incrby.eq_ignore_ascii_case("incrby") => Some(Move {
            time,
            worker: worker.to_owned(),
            units: units.parse().ok()?,
        }),
        _ => None,
    }
}

/// The sum over the workers of what each counted from its first update to its last.
fn speed(moves: &[Move]) -> f64 {
    let mut workers: BTreeMap<&str, (f64, f64, u32)> = BTreeMap::new();
    for Move {
        time,
        worker,
        units,
    } in moves
    {
        workers
            .entry(worker)
            // The units of the first update were done before it.
            .and_modify(|(_, last, sum)| (*last, *sum) = (*time, *sum + units))
            .or_insert((*time, *time, 0));
    }
    workers
        .values()
        .filter(|(first, last, _)| last > first)
        .map(|(first, last, units)| f64::from(*units) / (last - first))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(time: f64, worker: &str, units: u32) -> Move {
        Move {
            time,
            worker: worker.to_owned(),
            units,
        }
    }

    #[test]
    fn an_update_is_read_from_what_redis_reports() {
        let line = r#"1795425502.25 [0 172.19.0.5:50412] "INCRBY" "hashes" "4""#;
        assert_eq!(parse(line), Some(update(1_795_425_502.25, "172.19.0.5", 4)));
        for other in [
            "OK",
            r#"1795425502.25 [0 172.19.0.5:50412] "GET" "hashes""#,
            r#"1795425502.25 [0 172.19.0.5:50412] "HSET" "wallet" "0a" "INCRBY hashes 4""#,
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_speed_of_a_worker_is_exact_between_its_updates() {
        // 0.3 s a unit; four in 1.2 s, wherever the window begins and ends.
        let moves: Vec<_> = (0..5)
            .map(|n| update(7.7 + 1.2 * f64::from(n), "a", 4))
            .collect();
        assert!((speed(&moves) - 1.0 / 0.3).abs() < 1e-9);
    }

    #[test]
    fn the_speeds_of_several_workers_add_up() {
        let moves = [
            update(1.0, "a", 4),
            update(1.5, "b", 1),
            update(3.0, "a", 4),
            update(3.5, "b", 2),
            update(9.0, "c", 4),
        ];
        assert!((speed(&moves) - 3.0).abs() < 1e-9);
    }
}
