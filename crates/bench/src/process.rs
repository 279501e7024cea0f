//! What a process uses, from `/proc`: the engine is on this machine.

use std::fs;

use anyhow::{Context, Result};

/// What the first process of a container uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Seconds of CPU since its start, user and system.
    pub(crate) cpu: f64,
    /// Resident set size in MiB.
    pub(crate) memory: f64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let read = |file| {
            let file = format!("/proc/{pid}/{file}");
            fs::read_to_string(&file).with_context(|| format!("{file}: is the engine remote?"))
        };
        Self::parse(&read("stat")?, &read("status")?).context("unknown format of /proc")
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        /// `USER_HZ`, the same on all architectures.
        const TICKS_PER_SECOND: f64 = 100.0;
        // The name of the program, in parentheses, may contain spaces.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(11);
        let (user, system): (f64, f64) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = memory?.trim().trim_end_matches(" kB").parse().ok()?;
        Some(Self {
            cpu: (user + system) / TICKS_PER_SECOND,
            memory: kib / 1024.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_plus_system_and_memory_the_resident_set() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 300 0 0 0 120 34 0 0 20 0 2 0 100 1 2";
        let status = "Name:\trng\nVmPeak:\t    9999 kB\nVmRSS:\t    2560 kB\nThreads:\t2\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert!((usage.cpu - 1.54).abs() < 1e-9);
        assert!((usage.memory - 2.5).abs() < 1e-9);
    }
}
