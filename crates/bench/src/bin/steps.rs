//! The requests of worker, one after the other, with the same libraries and settings, and a clock
//! around each step. Prints microseconds, as `bare probe` does.

use std::{
    env,
    io::{Write, stdout},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect,
};
use tokio::net::lookup_host;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let count: usize = env::args().nth(1).unwrap_or_default().parse()?;
    let look_up = LookUp::default();
    let no_keep_alive = [(CONNECTION, HeaderValue::from_static("close"))];
    let client = Client::builder()
        .dns_resolver(Arc::new(look_up.clone()))
        .default_headers(HeaderMap::from_iter(no_keep_alive))
        .connect_timeout(Duration::from_secs(2))
        .timeout(Duration::from_secs(60))
        .tcp_keepalive(Duration::from_secs(3))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()?;
    // Printed at the end: the engine that reads it also answers the look-ups.
    let mut times = Vec::new();
    for _ in 0..count {
        let hash = client.post("http://hasher/").body(vec![7; 32]);
        let hash = hash.header(CONTENT_TYPE, "application/octet-stream");
        for (name, request) in [("rng", client.get("http://rng/32")), ("hasher", hash)] {
            let start = Instant::now();
            let answer = request.send().await?;
            ensure!(answer.status().is_success(), "{name}: {}", answer.status());
            answer.bytes().await?;
            let look_up = look_up.time();
            let request = start.elapsed().saturating_sub(look_up);
            writeln!(times, "look-up {}", look_up.as_micros())?;
            writeln!(times, "{name} {}", request.as_micros())?;
        }
    }
    Ok(stdout().write_all(&times)?)
}

/// The look-up that reqwest makes by default, and how long the last one took.
#[derive(Clone, Default)]
struct LookUp(Arc<Mutex<Duration>>);

impl LookUp {
    fn time(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for LookUp {
    fn resolve(&self, name: Name) -> Resolving {
        let time = Arc::clone(&self.0);
        let start = Instant::now();
        Box::pin(async move {
            let addresses: Vec<_> = lookup_host((name.as_str(), 0)).await?.collect();
            *time.lock().unwrap_or_else(PoisonError::into_inner) = start.elapsed();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
