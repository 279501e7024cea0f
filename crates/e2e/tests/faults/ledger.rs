//! The count in redis is what the workers did, whatever happened to whom.

use std::{env, ops::RangeInclusive, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{compose::Project, docker, until};
use redis::AsyncCommands;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

const WORKERS: usize = 5;

/// For so long at least something is broken, and healed.
const TIME: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Stop,
    Restart,
    Kill,
    Pause,
    Disconnect,
}

const FAULTS: [Fault; 5] = [
    Fault::Stop,
    Fault::Restart,
    Fault::Kill,
    Fault::Pause,
    Fault::Disconnect,
];

fn all_faults() -> Vec<(&'static str, Fault)> {
    let of_service = |service| FAULTS.map(|fault| (service, fault));
    SERVICES.into_iter().flat_map(of_service).collect()
}

const SERVICES: [&str; 5] = ["rng", "hasher", "redis", "webui", "worker"];

#[tokio::test]
#[ignore = "needs a Docker engine, and takes four minutes"]
async fn every_unit_is_counted_once_whatever_a_class_breaks() {
    let seed =
        env::var("FAULTS").map_or_else(|_| fastrand::u64(..1000), |seed| seed.parse().unwrap());
    println!("FAULTS={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let project = Project::new("ledger").unwrap();
    // With its default settings redis loses the last minutes when it is killed.
    let redis = "image: redis:8-alpine\n";
    let keeps_all = "    command: [redis-server, --appendonly, \"yes\", --appendfsync, always]\n";
    project.edit(redis, &format!("{redis}{keeps_all}")).unwrap();
    // The log of a worker then has each of its units.
    let worker = "  worker:\n";
    project
        .edit(
            worker,
            &format!("{worker}    environment: {{DEBUG: \"y\"}}\n"),
        )
        .unwrap();
    project.scale(WORKERS).unwrap();
    until(Duration::from_secs(20), async || {
        Ok(project.hashes().await? > 0)
    })
    .await
    .unwrap();

    // Each fault of each service, and then again in another order.
    let start = Instant::now();
    let (mut faults, mut kills) = (Vec::new(), 0);
    while start.elapsed() < TIME || !faults.is_empty() {
        if faults.is_empty() {
            faults = all_faults();
            random.shuffle(&mut faults);
        }
        let (service, fault) = faults.pop().unwrap();
        let containers = project.containers(service).unwrap();
        let container = random.choice(&containers).unwrap();
        println!(
            "{:>5.1} s: {fault:?} {service}",
            start.elapsed().as_secs_f64()
        );
        break_and_heal(&project, service, container, fault, random.f64())
            .await
            .unwrap();
        kills += usize::from(matches!((service, fault), ("worker", Fault::Kill)));
        sleep(Duration::from_secs_f64(1.0 + random.f64())).await;
    }

    // Five workers would make 16 hashes a second, and rng allows for 10.
    let recovered = until(Duration::from_secs(15), async || {
        Ok(project.speed(Duration::from_secs(3)).await? > 8.0)
    });
    println!("the speed was back after {:?}", recovered.await.unwrap());

    project.compose(&["stop", "worker"]).unwrap();
    let mut ledger = Ledger::default();
    for worker in project.containers("worker").unwrap() {
        ledger.read(&docker(&["logs", &worker]).unwrap()).unwrap();
    }
    let address = project.address("redis").unwrap();
    let redis = redis::Client::open(format!("redis://{address}")).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let hashes: u64 = redis.get("hashes").await.unwrap();
    println!("{ledger:?}, in redis {hashes}; {kills} workers were killed");
    // Who forgets what it did, or begins to count anew, looks as if it had been killed.
    assert!(ledger.killed <= kills, "{ledger:?}");
    assert!(ledger.units > 200, "{ledger:?}");
    assert!(
        ledger.counted().contains(&hashes),
        "{ledger:?}, in redis {hashes}"
    );

    let wallet: Vec<(String, Vec<u8>)> = redis.hgetall("wallet").await.unwrap();
    assert!(!wallet.is_empty());
    for (digest, bytes) in wallet {
        assert!(
            digest.starts_with('0') && bytes.len() == 32,
            "{digest}: {bytes:?}"
        );
        let sha256 = Sha256::digest(&bytes);
        let hex = |digits, byte: &u8| format!("{digits}{byte:02x}");
        assert_eq!(digest, sha256.iter().fold(String::new(), hex));
    }
}

/// `severity`, from 0 to 1, is for how long it is broken.
async fn break_and_heal(
    project: &Project,
    service: &str,
    container: &str,
    fault: Fault,
    severity: f64,
) -> Result<()> {
    let time = Duration::from_secs_f64(0.5 + 2.5 * severity);
    match fault {
        Fault::Stop => {
            docker(&["stop", container])?;
            sleep(time).await;
            docker(&["start", container])?;
        }
        Fault::Restart => {
            docker(&["restart", container])?;
        }
        Fault::Kill => {
            docker(&["kill", container])?;
            sleep(time).await;
            docker(&["start", container])?;
        }
        Fault::Pause => {
            docker(&["pause", container])?;
            sleep(time).await;
            docker(&["unpause", container])?;
        }
        Fault::Disconnect => {
            let network = project.network();
            docker(&["network", "disconnect", &network, container])?;
            sleep(time).await;
            docker(&[
                "network", "connect", "--alias", service, &network, container,
            ])?;
        }
    }
    Ok(())
}

/// What the logs of the workers say.
#[derive(Debug, Default)]
struct Ledger {
    /// The units whose digest came back to a worker.
    units: u64,
    /// The lives that ended with units done, but not counted.
    killed: usize,
    /// Of those, what a worker had not begun to count when it was killed.
    lost: u64,
    /// What it was about to count when it was killed, or stopped while redis was away: only redis
    /// knows.
    uncertain: u64,
}

/// A life of a worker, from its start to its end.
#[derive(Default)]
struct Life {
    /// The units that are not in the counter, as far as the worker knows.
    uncounted: u64,
    /// It has begun to count them.
    updating: bool,
    /// It was told to end.
    leaving: bool,
}

impl Ledger {
    /// What the counter may be. Who was not killed has lost nothing, and nothing counts twice.
    fn counted(&self) -> RangeInclusive<u64> {
        let most = self.units - self.lost;
        most - self.uncertain..=most
    }

    /// Reads the log of a worker, over all its lives.
    fn read(&mut self, log: &str) -> Result<()> {
        let mut life = Life::default();
        for line in log.lines() {
            let (_level, message) = line.split_once(' ').context("a line without a level")?;
            if let Some(units) = message.strip_suffix(" units of work done, updating hash counter")
            {
                let units: u64 = units.parse()?;
                // A life begins with an update of none.
                if units == 0 && (life.leaving || life.uncounted > 0) {
                    self.end(&life)?;
                    life = Life::default();
                }
                ensure!(
                    units == life.uncounted,
                    "{} units done, but {line}",
                    life.uncounted
                );
                life.updating = true;
            } else if message == "Doing one unit of work" {
                // It goes on when redis has answered.
                if life.updating {
                    life = Life::default();
                }
            } else if message == "No coin found" || message.starts_with("Coin found") {
                self.units += 1;
                life.uncounted += 1;
            } else if message.starts_with("TERM") {
                life.leaving = true;
            } else if message.contains(" units of work are lost") {
                self.uncertain += life.uncounted;
                life.uncounted = 0;
            }
        }
        ensure!(life.leaving, "it did not end as it should");
        self.end(&life)
    }

    fn end(&mut self, life: &Life) -> Result<()> {
        let units = life.uncounted;
        if units > 0 && life.leaving {
            ensure!(life.updating, "it left without counting {units} units");
        } else if units > 0 {
            self.killed += 1;
            if life.updating {
                self.uncertain += units;
            } else {
                self.lost += units;
            }
        }
        Ok(())
    }
}
