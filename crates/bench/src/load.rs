//! Requests per second and latency under `wrk`, without delays and without the log of requests, beside an
//! empty service, and that beside an empty axum server.

use std::{fs, process::Command, thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    Bench,
    command::run,
    figure::Figure,
    progress,
    stack::{NO_DELAY_NO_LOG, Programs, Stack, scratch_file},
    turns::{Value, figures},
};

/// How long the kernel keeps the port of a connection that was closed. A second of load takes most of
/// the ports to one server; without a free one, `wrk` measures the search for it.
const TIME_WAIT: Duration = Duration::from_secs(60);

const SERVICE: &str = "empty service";
const SERVER: &str = "empty server";

/// What a client asks for: service, method, path.
const REQUESTS: [(&str, &str, &str); 4] = [
    ("rng", "GET", "/32"),
    ("hasher", "POST", "/"),
    ("webui", "GET", "/json"),
    ("webui", "GET", "/index.html"),
];

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    if Command::new("wrk").arg("-v").output().is_err() {
        progress("load: left out, since wrk is not installed");
        return Ok(Vec::new());
    }
    let ours = Stack::new(&bench.images, Programs::Ours, NO_DELAY_NO_LOG)?;
    let service = Stack::new(&bench.images, Programs::Service, NO_DELAY_NO_LOG)?;
    let server = Stack::new(&bench.images, Programs::Bare, NO_DELAY_NO_LOG)?;
    for stack in [&ours, &service, &server] {
        stack.up(0, 1)?;
    }
    let beside = |name: &str, request, (loaded, service), limit, empty| -> Result<_> {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..bench.effort.rounds {
            if !bench.effort.short {
                sleep(TIME_WAIT);
            }
            ours.push(load(name, request, loaded, service)?);
            bare.push(load(name, request, empty, "webui")?);
        }
        Ok(figures(&ours, limit, &bare))
    };
    let mut all = beside(SERVICE, ("GET", "/"), (&service, "webui"), SERVER, &server)?;
    for (name, method, path) in REQUESTS {
        let title = format!("{name}: {method} {path}");
        all.extend(beside(
            &title,
            (method, path),
            (&ours, name),
            SERVICE,
            &service,
        )?);
    }
    Ok(all)
}

fn load(
    name: &str,
    (method, path): (&str, &str),
    stack: &Stack,
    service: &str,
) -> Result<Vec<Value>> {
    let url = format!("http://{}{path}", stack.address(service)?);
    Ok(wrk(method, &url, 1)?.values(name))
}

/// What `wrk` measured.
pub(crate) struct Load {
    pub(crate) requests: u64,
    requests_per_second: f64,
    /// In milliseconds.
    median: f64,
    percentile_99: f64,
}

/// Ten connections at a time, from one thread.
pub(crate) fn wrk(method: &str, url: &str, seconds: u64) -> Result<Load> {
    // By the name of the target, since several may run at a time.
    let script = scratch_file(&format!("{}.lua", url.replace('/', "-")));
    let body = if method == "POST" {
        "32 bytes, as those of rng are...."
    } else {
        ""
    };
    fs::write(
        &script,
        format!("wrk.method, wrk.body = '{method}', '{body}'"),
    )?;
    let printed = run(Command::new("wrk")
        .args(["--threads", "1", "--connections", "10", "--latency"])
        .args(["--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(&script)
        .arg(url));
    fs::remove_file(&script)?;
    Load::parse(&printed?)
}

impl Load {
    fn values(&self, name: &str) -> Vec<Value> {
        vec![
            (name.to_owned(), "requests/s", self.requests_per_second),
            (format!("{name}: median"), "ms", self.median),
            (format!("{name}: 99th percentile"), "ms", self.percentile_99),
        ]
    }

    fn parse(printed: &str) -> Result<Self> {
        ensure!(!printed.contains("Non-2xx"), "wrk got errors: {printed}");
        let words: Vec<_> = printed.split_whitespace().collect();
        let pair = |wanted: &dyn Fn(&&[&str]) -> bool| {
            let pair = words.windows(2).find(wanted);
            pair.with_context(|| format!("unknown output of wrk: {printed}"))
        };
        let before = |word| Ok::<_, anyhow::Error>(pair(&|pair| pair[1] == word)?[0]);
        let after = |word| Ok::<_, anyhow::Error>(pair(&|pair| pair[0] == word)?[1]);
        Ok(Self {
            requests: before("requests")?.parse()?,
            requests_per_second: after("Requests/sec:")?.parse()?,
            median: milliseconds(after("50%")?)?,
            percentile_99: milliseconds(after("99%")?)?,
        })
    }
}

/// Of `850.00us`, `1.25ms` or `1.02s`.
fn milliseconds(time: &str) -> Result<f64> {
    let (number, factor) = if let Some(number) = time.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = time.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (time.trim_end_matches('s'), 1000.0)
    };
    Ok(number.parse::<f64>()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running 5s test @ http://172.20.0.3/32
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.31ms    0.61ms  11.00ms   90.12%
  Latency Distribution
     50%  850.00us
     75%    1.50ms
     90%    2.10ms
     99%    1.02s 
  21234 requests in 5.00s, 3.10MB read
Requests/sec:   4246.80
Transfer/sec:    634.88KB
";

    #[test]
    fn speed_and_percentiles_are_read_from_what_wrk_prints() {
        let load = Load::parse(PRINTED).unwrap();
        assert_eq!(load.requests, 21234);
        let values: Vec<f64> = load
            .values("rng")
            .iter()
            .map(|(_, _, value)| *value)
            .collect();
        assert_eq!(values, [4246.8, 0.85, 1020.0]);
    }

    #[test]
    fn a_load_that_gets_errors_is_no_measurement() {
        let printed = format!("{PRINTED}  Non-2xx or 3xx responses: 3\n");
        assert!(Load::parse(&printed).is_err());
    }
}
