//! The kernel's table of neighbours, which many containers on one host overflow.
//!
//! Each container has an entry for each other that it speaks to, in one table for the whole host.
//! When it is full, connections fail or wait for a second.

use std::fs;

/// How often the table has been full since this was created.
pub(crate) struct Neighbours {
    overflows: Option<u64>,
}

impl Neighbours {
    pub(crate) fn watch() -> Self {
        Self {
            overflows: overflows(),
        }
    }

    /// What to set if the table has been full meanwhile.
    pub(crate) fn warning(self) -> Option<String> {
        let (before, after) = self.overflows.zip(overflows())?;
        (after > before).then(|| {
            let size = fs::read_to_string("/proc/sys/net/ipv4/neigh/default/gc_thresh3");
            format!(
                "the kernel's ARP table of {} entries was full {} times, so this is too low; for more: \
                 `sysctl -w net.ipv4.neigh.default.gc_thresh1=4096 \
                 net.ipv4.neigh.default.gc_thresh2=8192 net.ipv4.neigh.default.gc_thresh3=16384`",
                size.as_deref().map_or("unknown", str::trim),
                after - before
            )
        })
    }
}

fn overflows() -> Option<u64> {
    count(&fs::read_to_string("/proc/net/stat/arp_cache").ok()?)
}

/// The sum of the column `table_fulls` over the CPUs, in hexadecimal.
fn count(statistics: &str) -> Option<u64> {
    let mut lines = statistics.lines();
    let mut names = lines.next()?.split_whitespace();
    let column = names.position(|name| name == "table_fulls")?;
    lines
        .map(|line| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflows_are_added_up_over_the_cpus() {
        let statistics = "entries,  allocs   table_fulls\n0000040a  00001000 0000001f\n0000040a  00001000 00000001\n";
        assert_eq!(count(statistics), Some(32));
        assert_eq!(count("entries\n0000040a\n"), None);
    }
}
