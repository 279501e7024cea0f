//! Metrics of the process, as Linux has them in `/proc`.

use std::{fmt, fs, str::FromStr};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Clock ticks per second in `/proc`: `USER_HZ`, which is the same on all architectures that Rust
/// supports.
const USER_HZ: f64 = 100.0;

/// Reads `/proc/self` at each scrape. Without `/proc` it has no metrics.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut write = |name, help, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        if let Some(seconds) = cpu_seconds() {
            let help = "User and system CPU time.";
            write("process_cpu_seconds", help, &ConstCounter::new(seconds))?;
        }
        if let Some(bytes) = resident_bytes() {
            let help = "Resident memory.";
            write(
                "process_resident_memory_bytes",
                help,
                &ConstGauge::new(bytes),
            )?;
        }
        if let Some(number) = open_descriptors() {
            let help = "Open file descriptors.";
            write("process_open_fds", help, &ConstGauge::new(number))?;
        }
        if let Some(time) = start_time() {
            let help = "Start of the process in Unix time.";
            write("process_start_time_seconds", help, &ConstGauge::new(time))?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / USER_HZ)
}

fn start_time() -> Option<f64> {
    let boot: f64 = value("/proc/stat", "btime ")?;
    Some(boot + stat(22)? / USER_HZ)
}

fn resident_bytes() -> Option<u64> {
    let kib: u64 = value("/proc/self/status", "VmRSS:")?;
    Some(kib * 1024)
}

/// But for the one that lists them.
fn open_descriptors() -> Option<usize> {
    Some(
        fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1),
    )
}

/// A field of `/proc/self/stat`, counted from 1. The second is the name of the program, which may
/// contain spaces and parentheses.
fn stat(field: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(field - 3)?.parse().ok()
}

/// The number on the line of `file` that begins with `key`.
fn value<T: FromStr>(file: &str, key: &str) -> Option<T> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
