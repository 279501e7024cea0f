//! Clients that mean no good: the workers go on as before, and memory stays where it was.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use e2e::{compose::Project, docker, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// At each service, more than it has places for.
const CLIENTS: usize = 500;

/// How long the speed is measured, without any and under each attack.
const TIME: Duration = Duration::from_secs(15);

/// The most memory of a service, in MiB.
const MAX_MEMORY: f64 = 32.0;

/// For the first units of work.
const SOON: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Connects, and says nothing.
    Silence,
    /// Sends the head of a request, a byte a second.
    SlowHead,
    /// Sends the body of a request, a byte a second.
    SlowBody,
    /// Leaves in the middle of a request.
    HangUp,
    /// Sends many requests at once, and leaves.
    PipelineAndLeave,
    /// Sends many requests at once, and stays.
    Pipeline,
}

const ATTACKS: [Attack; 6] = [
    Attack::Silence,
    Attack::SlowHead,
    Attack::SlowBody,
    Attack::HangUp,
    Attack::PipelineAndLeave,
    Attack::Pipeline,
];

const SERVICES: [&str; 3] = ["rng", "hasher", "webui"];

#[tokio::test]
#[ignore = "needs a Docker engine, and takes three minutes"]
async fn hundreds_of_hostile_clients_leave_speed_and_memory_as_they_were() {
    let project = Project::new("attacks").unwrap();
    project.scale(2).unwrap();
    until(SOON, async || Ok(project.hashes().await? > 0))
        .await
        .unwrap();
    let addresses = SERVICES.map(|service| SocketAddr::new(project.address(service).unwrap(), 80));
    let before = project.speed(TIME).await.unwrap();
    for attack in ATTACKS {
        let mut clients = JoinSet::new();
        for address in addresses.iter().cycle().take(CLIENTS * SERVICES.len()) {
            clients.spawn(attack_for_ever(attack, *address));
        }
        let speed = project.speed(TIME).await.unwrap() / before;
        let memory = SERVICES.map(|service| memory(&project, service).unwrap());
        println!(
            "{attack:?}: {:.0} % of {before:.2} hashes a second, MiB: {memory:?}",
            100.0 * speed
        );
        assert!(speed > 0.9);
        assert!(memory.iter().all(|&memory| memory < MAX_MEMORY));
    }
}

/// What a service takes, in MiB.
fn memory(project: &Project, service: &str) -> Result<f64> {
    let container = &project.containers(service)?[0];
    let usage = docker(&[
        "stats",
        "--no-stream",
        "--format",
        "{{.MemUsage}}",
        container,
    ])?;
    let mebibytes = usage.split("MiB").next().context("no usage")?;
    mebibytes.trim().parse().with_context(|| usage.clone())
}

/// Does so again and again, a moment after the service had enough of it.
async fn attack_for_ever(attack: Attack, address: SocketAddr) {
    loop {
        sleep(Duration::from_secs_f64(2.0 * fastrand::f64())).await;
        // What the service does about it is its own affair.
        let _ = attack_once(attack, address).await;
    }
}

async fn attack_once(attack: Attack, address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    match attack {
        Attack::Silence => {}
        Attack::SlowHead => {
            stream.write_all(b"GET /").await?;
            return send_slowly(&mut stream).await;
        }
        Attack::SlowBody => {
            let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            return send_slowly(&mut stream).await;
        }
        Attack::HangUp => {
            let half = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nxxx";
            stream.write_all(half.as_bytes()).await?;
            return Ok(());
        }
        Attack::PipelineAndLeave => {
            let request = "GET /32 HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request.repeat(20).as_bytes()).await?;
            return Ok(());
        }
        Attack::Pipeline => {
            let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request.repeat(100).as_bytes()).await?;
        }
    }
    // Stays until it is thrown out.
    timeout(Duration::from_secs(60), stream.read_to_end(&mut Vec::new())).await??;
    Ok(())
}

/// A byte a second, until the service has enough of it.
async fn send_slowly(stream: &mut TcpStream) -> Result<()> {
    loop {
        stream.write_all(b"x").await?;
        sleep(Duration::from_secs(1)).await;
    }
}
