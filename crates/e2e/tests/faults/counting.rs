//! The count in redis is what the workers did, whatever happened to whom.

use std::{
    env,
    thread::sleep,
    time::{Duration, Instant},
};

use e2e::{Project, SERVICES, log, sh};
use redis::Commands;
use sha2::{Digest, Sha256};

const WORKERS: usize = 5;
/// Shell commands that break a container and repair it.
const FAULTS: [&str; 5] = [
    "docker stop $container && sleep $time && docker start $container",
    "docker restart $container",
    "docker kill $container && sleep $time && docker start $container",
    "docker pause $container && sleep $time && docker unpause $container",
    "docker network disconnect $network $container && sleep $time &&
     docker network connect --alias $service $network $container",
];

#[test]
#[ignore = "needs a Docker engine, and takes two minutes"]
fn every_unit_is_counted_once_whatever_a_class_breaks() {
    let seed = env::var("FAULTS").map_or_else(|_| fastrand::u64(..1000), |n| n.parse().unwrap());
    println!("FAULTS={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let project = Project::new("counting");
    // With its default settings redis loses the last minutes when it is killed.
    let durable = "command: [redis-server, --appendonly, \"yes\", --appendfsync, always]";
    project.set("redis", durable);
    // The log of a worker then has each of its units.
    project.set("worker", "environment: {DEBUG: \"y\"}");
    project.scale(WORKERS);

    // Each fault of each service, in any order.
    let of_service = |service| FAULTS.map(|fault| (service, fault));
    let mut faults: Vec<_> = SERVICES.into_iter().flat_map(of_service).collect();
    random.shuffle(&mut faults);
    let start = Instant::now();
    for (service, fault) in faults {
        println!("{:>5.1?}: {service}: {fault}", start.elapsed());
        let (network, containers) = (project.network(), project.containers(service));
        let container = random.choice(&containers).unwrap();
        let time = 0.5 + 2.5 * random.f64();
        sh!("network={network} service={service} container={container} time={time}; {fault}");
        sleep(Duration::from_secs_f64(1.0 + random.f64()));
    }

    // Five workers would make 16 hashes a second, and rng allows for 10.
    let recovered = project.webui().until_speed(Duration::from_secs(15), 8.0);
    println!("the speed was back after {recovered:?}");

    project.compose("stop worker");
    let mut units = Units::default();
    for worker in project.containers("worker") {
        units.read(&sh!("docker logs {worker}"));
    }
    let address = project.address("redis");
    let redis = redis::Client::open(format!("redis://{address}")).unwrap();
    let mut redis = redis.get_connection().unwrap();
    let hashes: u64 = redis.get("hashes").unwrap();
    println!("{units:?}, in redis {hashes}");
    // A worker that forgets its units, or begins to count anew, looks as if it had been killed.
    assert!(units.killed <= 1);
    assert!(units.done > 200);
    // Without a kill nothing is lost, and nothing counts twice.
    let most = units.done - units.lost;
    assert!((most - units.uncertain..=most).contains(&hashes));

    let wallet: Vec<(String, Vec<u8>)> = redis.hgetall("wallet").unwrap();
    assert!(!wallet.is_empty());
    for (digest, bytes) in wallet {
        assert!(digest.starts_with('0'), "{digest}");
        assert_eq!(bytes.len(), 32, "{digest}");
        let hex = |digits, byte: &u8| format!("{digits}{byte:02x}");
        let sha256 = Sha256::digest(&bytes).iter().fold(String::new(), hex);
        assert_eq!(digest, sha256);
    }
}

/// What the logs of the workers say about their units.
#[derive(Debug, Default)]
struct Units {
    /// Units whose digest a worker received.
    done: u64,
    /// The processes that ended with units done, but not counted.
    killed: usize,
    /// Of those, what a worker had not begun to count when it was killed.
    lost: u64,
    /// What it was about to count when it was killed, or stopped without redis: only redis knows.
    uncertain: u64,
}

/// A worker from the start of its process to the end.
#[derive(Default)]
struct Process {
    /// The units that are not in the counter, as far as the worker knows.
    uncounted: u64,
    /// It has begun to count them.
    updating: bool,
    /// It was told to end.
    terminating: bool,
}

impl Units {
    /// Reads the log of a container, with all the processes that it has had.
    fn read(&mut self, log: &str) {
        let mut process = Process::default();
        for line in log.lines() {
            let (_level, message) = line.split_once(' ').unwrap();
            if let Some(units) = message.strip_suffix(log::UPDATE) {
                let units: u64 = units.trim_end().parse().unwrap();
                // A process begins with an update of none.
                if units == 0 && (process.terminating || process.uncounted > 0) {
                    self.end(&process);
                    process = Process::default();
                }
                assert_eq!(units, process.uncounted, "{line}");
                process.updating = true;
            } else if message == log::UNIT && process.updating {
                // It goes on when redis has answered, with one more unit if TERM came meanwhile.
                (process.uncounted, process.updating) = (0, false);
            } else if message == log::NO_COIN || message.starts_with(log::COIN) {
                self.done += 1;
                process.uncounted += 1;
            } else if message.starts_with(log::TERM) {
                process.terminating = true;
            } else if message.contains(log::LOST) {
                self.uncertain += process.uncounted;
                process.uncounted = 0;
            }
        }
        assert!(process.terminating, "it did not end as it should");
        self.end(&process);
    }

    fn end(&mut self, process: &Process) {
        let (units, updating) = (process.uncounted, process.updating);
        if units > 0 && process.terminating {
            assert!(updating, "it ended without counting {units} units");
        } else if units > 0 {
            self.killed += 1;
            self.uncertain += if updating { units } else { 0 };
            self.lost += if updating { 0 } else { units };
        }
    }
}
