//! The count in redis is what the workers did, whatever happened to whom.

use std::{
    env,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use e2e::{BUILT, Project, SERVICES, log, sh, until};
use redis::Commands;
use sha2::{Digest, Sha256};

const WORKERS: usize = 5;
/// A worker pauses for at most ten seconds.
const SOON: Duration = Duration::from_secs(20);

/// Shell commands that break a container and repair it, and what worker logs meanwhile.
type Fault = (&'static str, &'static str, &'static str);

const FAULTS: [Fault; 5] = [
    ("docker stop $container", "docker start $container", ""),
    ("docker restart $container", ":", ""),
    ("docker kill $container", "docker start $container", ""),
    // A throttled container may fail to freeze.
    (
        "until docker pause $container; do sleep 1; done",
        "docker unpause $container",
        "",
    ),
    DISCONNECT,
];

const DISCONNECT: Fault = (
    "docker network disconnect $network $container",
    "docker network connect --alias $service $network $container",
    "",
);

/// rng vanishes while it serves workers: connections to it time out after five seconds, not thirty.
const VANISH: Fault = (DISCONNECT.0, DISCONNECT.1, "Connection timed out");

/// redis refuses updates.
const REFUSALS: [Fault; 4] = [
    (
        "$cli config set maxmemory 1",
        "$cli config set maxmemory 0",
        "OOM",
    ),
    (
        "$cli replicaof 127.0.0.1 1",
        "$cli replicaof no one",
        "ReadOnly",
    ),
    // No snapshot can be written.
    (
        "docker exec $container chmod 555 /data && $cli bgsave",
        "docker exec $container chmod 755 /data && $cli bgsave",
        "MISCONF",
    ),
    (
        "$cli config set busy-reply-threshold 100 &&
         docker exec --detach $container redis-cli eval 'while true do end' 0",
        "$cli script kill",
        "BUSY",
    ),
];

#[test]
#[ignore = "needs a Docker engine, and takes four minutes"]
fn every_unit_is_counted_once_whatever_a_class_breaks() {
    let seed = env::var("FAULTS").map_or_else(|_| fastrand::u64(..1000), |n| n.parse().unwrap());
    let seconds = env::var("FAULTS_SECONDS").map_or(0, |n| n.parse().unwrap());
    println!("FAULTS={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let project = limited("counting");
    project.set("worker", "environment: {DEBUG: \"y\"}");
    project.scale(WORKERS);
    // Each fault of each service, in any order.
    let of_service = |service| FAULTS.map(|fault| (service, fault));
    let mut faults: Vec<_> = SERVICES.into_iter().flat_map(of_service).collect();
    faults.extend(REFUSALS.map(|fault| ("redis", fault)));
    let (start, mut rounds) = (Instant::now(), 0);
    while rounds == 0 || start.elapsed() < Duration::from_secs(seconds) {
        random.shuffle(&mut faults);
        for (service, (fault, repair, logged)) in [("rng", VANISH)].iter().chain(&faults) {
            println!("{:>5.1?}: {service}: {fault}", start.elapsed());
            let (network, containers) = (project.network(), project.containers(service));
            let container = random.choice(&containers).unwrap();
            let variables = format!(
                "network={network} service={service} container={container}
                 cli=\"docker exec $container redis-cli\""
            );
            sh!("{variables}; {fault}");
            sleep(Duration::from_secs_f64(0.5 + 2.5 * random.f64()));
            until(SOON, || {
                logged.is_empty() || project.log("worker").contains(logged)
            });
            sh!("{variables}; {repair}");
            sleep(Duration::from_secs_f64(1.0 + random.f64()));
        }
        rounds += 1;
    }

    // Five workers would make 16 hashes a second, and rng allows for 10.
    let recovered = project.webui().until_speed(Duration::from_secs(15), 8.0);
    println!("the speed was back after {recovered:?}");

    let (units, hashes) = ledger(&project);
    // A worker that forgets its units, or begins to count anew, looks as if it had been killed.
    assert!(units.killed <= rounds);
    // Without a kill nothing is lost, and nothing counts twice.
    let most = units.done - units.lost;
    assert!((most - units.uncertain..=most).contains(&hashes));
}

#[test]
#[ignore = "needs a Docker engine, and takes two minutes"]
fn every_unit_is_counted_once_though_replies_of_redis_are_lost_or_late() {
    let project = limited("replies");
    project.compose("up -d redis");
    let faulty = Arc::new(AtomicBool::new(false));
    let port = proxy(format!("{}:6379", project.address("redis")), faulty.clone());
    let template = "{{(index .IPAM.Config 0).Gateway}}";
    let gateway = sh!(
        "docker network inspect --format '{template}' {}",
        project.network()
    );
    let url = format!("redis://{gateway}:{port}");
    project.set(
        "worker",
        &format!("environment: {{DEBUG: \"y\", REDIS_URL: \"{url}\"}}"),
    );
    project.scale(WORKERS);
    faulty.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(90));
    faulty.store(false, Ordering::Relaxed);
    let retries = project.log("worker").matches(log::RETRY).count();
    println!("{retries} retries");
    assert!(retries > 50);
    let (units, hashes) = ledger(&project);
    assert_eq!(units.done, hashes);
}

/// A project whose services have 50 ms of CPU time per second and 32 MiB, and whose redis keeps what
/// it has acknowledged when it is killed.
fn limited(name: &str) -> Project {
    let project = Project::new(name);
    let durable = "command: [redis-server, --appendonly, \"yes\", --appendfsync, always]";
    project.set("redis", durable);
    for service in BUILT {
        project.set(service, "cpus: 0.05");
        project.set(service, "mem_limit: 32m");
    }
    project
}

/// A proxy to redis, and its port. While `faulty`, of ten replies one is lost with its connection, one
/// is lost, one is late, and one is replaced by a refusal.
fn proxy(redis: String, faulty: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for worker in listener.incoming() {
            let worker = worker.unwrap();
            let redis = TcpStream::connect(&redis).unwrap();
            let (mut from, mut to) = (worker.try_clone().unwrap(), redis.try_clone().unwrap());
            spawn(move || io::copy(&mut from, &mut to));
            let faulty = faulty.clone();
            spawn(move || forward_replies(redis, worker, &faulty));
        }
    });
    port
}

fn forward_replies(mut redis: TcpStream, mut worker: TcpStream, faulty: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = redis.read(&mut buffer) {
        let mut reply = &buffer[..length];
        if faulty.load(Ordering::Relaxed) {
            match fastrand::u8(..10) {
                0 => break,
                1 => continue,
                2 => sleep(Duration::from_secs(2)),
                3 => reply = b"-LOADING Redis is loading the dataset in memory\r\n",
                _ => {}
            }
        }
        if worker.write_all(reply).is_err() {
            break;
        }
    }
    let _ = worker.shutdown(Shutdown::Both);
    let _ = redis.shutdown(Shutdown::Both);
}

/// Stops the workers, and returns their units and the counter, after a check of the wallet.
fn ledger(project: &Project) -> (Units, u64) {
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
    assert!(units.done > 200);

    let wallet: Vec<(String, Vec<u8>)> = redis.hgetall("wallet").unwrap();
    assert!(!wallet.is_empty());
    for (digest, bytes) in wallet {
        assert!(digest.starts_with('0'), "{digest}");
        assert_eq!(bytes.len(), 32, "{digest}");
        let hex = |digits, byte: &u8| format!("{digits}{byte:02x}");
        let sha256 = Sha256::digest(&bytes).iter().fold(String::new(), hex);
        assert_eq!(digest, sha256);
    }
    (units, hashes)
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
