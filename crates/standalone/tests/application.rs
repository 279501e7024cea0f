//! The whole application over sockets, from the loop to the numbers that the page draws.
#![allow(clippy::unwrap_used)]

use std::{net::Ipv4Addr, time::Duration};

use chassis::CancellationToken;
use memory_redis::testing::TestRedis;
use serde_json::Value;
use standalone::{Config, Listeners};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Shorter than the 100 ms of the workshop, so that the tests are fast.
const DELAY: Duration = Duration::from_millis(20);

struct Application {
    webui: String,
    rng: String,
    hasher: String,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    _redis: Option<TestRedis>,
}

impl Application {
    async fn start(workers: usize) -> Self {
        Self::start_with(workers, Some(TestRedis::start().await)).await
    }

    async fn start_with(workers: usize, redis: Option<TestRedis>) -> Self {
        let listeners = Listeners::bind(Ipv4Addr::LOCALHOST, 0).await.unwrap();
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (webui, rng, hasher) = (
            url(&listeners.webui),
            url(&listeners.rng),
            url(&listeners.hasher),
        );
        let client = |redis: &TestRedis| redis::Client::open(redis.url()).unwrap();
        let config = Config {
            workers,
            port: 0,
            address: Ipv4Addr::LOCALHOST,
            delay: DELAY,
            redis_url: redis.as_ref().map(client),
            files: "no/such/directory".into(),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(standalone::run(listeners, config, stop.clone()));
        Self {
            webui,
            rng,
            hasher,
            stop,
            running,
            _redis: redis,
        }
    }

    async fn json(&self) -> Value {
        serde_json::from_str(&get(&format!("{}/json", self.webui)).await).unwrap()
    }

    async fn hashes(&self) -> u64 {
        self.json().await["hashes"]
            .as_str()
            .map_or(0, |hashes| hashes.parse().unwrap())
    }

    /// Hashes a second, over three updates of the counter.
    async fn speed(&self) -> f64 {
        let (start, before) = (Instant::now(), self.hashes().await);
        sleep(Duration::from_millis(3300)).await;
        let hashes = self.hashes().await - before;
        f64::from(u32::try_from(hashes).unwrap()) / start.elapsed().as_secs_f64()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

async fn get(url: &str) -> String {
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn without_files_and_redis_it_serves_the_embedded_page_and_counts_in_memory() {
    let application = Application::start_with(1, None).await;
    let page = format!("{}/index.html", application.webui);
    let response = reqwest::get(&page).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/html");
    let index = include_str!("../../../webui/files/index.html");
    assert_eq!(response.text().await.unwrap(), index);
    let missing = reqwest::get(format!("{page}.gz")).await.unwrap();
    assert_eq!(missing.status(), 404);
    let counting = async {
        while application.hashes().await == 0 {
            sleep(DELAY).await;
        }
    };
    timeout(Duration::from_secs(10), counting)
        .await
        .expect("no worker counts");
    for (url, index) in [
        (&application.rng, "RNG running on "),
        (&application.hasher, "HASHER running on "),
    ] {
        assert!(get(url).await.starts_with(index), "{url}");
    }
    application.stop().await;
}

#[tokio::test]
async fn more_workers_are_faster_until_rng_is_the_bottleneck() {
    let (one, two, ten) = tokio::join!(
        Application::start(1),
        Application::start(2),
        Application::start(10)
    );
    // Until each has updated its counter.
    sleep(Duration::from_millis(1200)).await;
    let (one_speed, two_speed, ten_speed) = tokio::join!(one.speed(), two.speed(), ten.speed());
    assert!(
        (1.5..2.7).contains(&(two_speed / one_speed)),
        "{one_speed}, {two_speed}"
    );
    // Three times, not ten times; a busy machine slows one worker down more than ten.
    assert!(
        (2.0..5.0).contains(&(ten_speed / one_speed)),
        "{one_speed}, {ten_speed}"
    );
    for application in [one, two, ten] {
        application.stop().await;
    }
}
