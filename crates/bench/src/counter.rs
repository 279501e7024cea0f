//! The speed, from the moments at which the counter moves.
//!
//! A worker counts between two units, so from one of its updates to another it has done exactly the
//! units that it counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Workers update the counter once a second.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Update {
    /// In seconds.
    time: f64,
    worker: String,
    units: u32,
}

/// From redis, which reports each command with its time and its client.
pub(crate) fn from_redis(address: IpAddr) -> Result<impl Iterator<Item = Update>> {
    let mut redis = TcpStream::connect((address, 6379)).context("redis")?;
    redis.set_read_timeout(Some(UPDATE_TIMEOUT))?;
    redis.write_all(b"MONITOR\r\n")?;
    let lines = BufReader::new(redis).lines();
    Ok(lines
        .map_while(Result::ok)
        .filter_map(|line| reported(&line)))
}

/// Parses the baseline's `+1795425502.123456 [0 172.19.0.5:50412] "INCRBY" "hashes" "4"`, and the script
/// of worker: `"EVAL" "..." "2" "hashes" "worker:..." "4" "7" "86400"`.
fn reported(line: &str) -> Option<Update> {
    let mut words = line.strip_prefix('+')?.split_whitespace();
    let time = words.next()?.parse().ok()?;
    let (worker, _) = words.nth(1)?.rsplit_once(':')?;
    let command: Vec<&str> = words.map(|word| word.trim_matches('"')).collect();
    let (["INCRBY", "hashes", units] | ["EVAL", .., "hashes", _, units, _, _]) = command[..] else {
        return None;
    };
    Some(Update {
        time,
        worker: worker.to_owned(),
        units: units.parse().ok()?,
    })
}

/// From the log of one worker: `4 units of work done, updating hash counter`.
pub(crate) fn from_log(log: impl BufRead) -> impl Iterator<Item = Update> {
    let start = Instant::now();
    log.lines().map_while(Result::ok).filter_map(move |line| {
        let (before, _) = line.split_once(" units of work done")?;
        Some(Update {
            time: start.elapsed().as_secs_f64(),
            worker: String::new(),
            units: before.split_whitespace().last()?.parse().ok()?,
        })
    })
}

/// Hashes per second over at least `window`, which begins when `workers` have done units.
pub(crate) fn speed(
    mut updates: impl Iterator<Item = Update>,
    workers: usize,
    window: Duration,
) -> Result<f64> {
    let mut next = || updates.next().context("the counter does not move");
    let mut working = BTreeSet::new();
    let start = loop {
        let update = next()?;
        if update.units > 0 {
            working.insert(update.worker);
        }
        if working.len() >= workers {
            break update.time;
        }
    };

    let mut counted = BTreeMap::<String, (f64, f64, u32)>::new();
    let mut update = next()?;
    while update.time <= start + window.as_secs_f64() {
        let (time, units) = (update.time, update.units);
        counted
            .entry(update.worker)
            // The units of the first update were done before it.
            .and_modify(|(_, last, sum)| (*last, *sum) = (time, *sum + units))
            .or_insert((time, time, 0));
        update = next()?;
    }
    let counted = counted.values().filter(|(first, last, _)| last > first);
    Ok(counted
        .map(|(first, last, units)| f64::from(*units) / (last - first))
        .sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(4);

    fn update(time: f64, worker: &str, units: u32) -> Update {
        Update {
            time,
            worker: worker.to_owned(),
            units,
        }
    }

    #[test]
    fn an_update_is_read_from_a_line_of_redis() {
        let line = r#"+1795425502.25 [0 172.19.0.5:50412] "EVAL" "if 1 then" "2" "hashes" "worker:0f" "4" "7" "86400""#;
        assert_eq!(
            reported(line),
            Some(update(1_795_425_502.25, "172.19.0.5", 4))
        );
        for other in [
            "+OK",
            r#"+1795425502.25 [0 172.19.0.5:50412] "GET" "hashes""#,
            r#"+1795425502.25 [0 172.19.0.5:50412] "HSET" "wallet" "0a" "INCRBY hashes 4""#,
        ] {
            assert_eq!(reported(other), None, "{other}");
        }
    }

    #[test]
    fn an_update_is_read_from_a_line_of_the_log() {
        let log =
            "worker | 4 units of work done, updating hash counter\nworker | Coin found: 0a...\n";
        let units: Vec<u32> = from_log(log.as_bytes())
            .map(|update| update.units)
            .collect();
        assert_eq!(units, [4]);
    }

    #[test]
    fn the_speed_of_a_worker_is_exact_between_its_updates() {
        // A unit takes 0.3 s.
        let updates = (0..9).map(|n| update(7.7 + 1.2 * f64::from(n), "a", 4));
        let speed = speed(updates, 1, WINDOW).unwrap();
        assert!((speed - 1.0 / 0.3).abs() < 1e-9, "{speed}");
    }

    #[test]
    fn the_speeds_of_several_workers_add_up_once_all_have_done_units() {
        let updates = [
            update(0.0, "a", 9),
            update(1.0, "b", 0),
            update(2.0, "b", 9),
            update(3.0, "a", 9),
            update(3.5, "b", 9),
            update(5.0, "a", 4),
            update(5.5, "b", 2),
            update(7.0, "a", 9),
        ];
        let speed = speed(updates.into_iter(), 2, WINDOW).unwrap();
        assert!((speed - 3.0).abs() < 1e-9, "{speed}");
    }

    #[test]
    fn a_counter_that_stops_has_no_speed() {
        let updates = [update(0.0, "a", 4), update(1.2, "a", 4)];
        assert!(speed(updates.into_iter(), 1, WINDOW).is_err());
    }
}
