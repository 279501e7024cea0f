//! Clients that mean no good: the workers go on as before, and memory stays where it was.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{compose::Project, docker, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// More than a service has places for.
const CLIENTS: usize = 500;

/// How long an attack lasts, after the time it takes to get going.
const TIME: Duration = Duration::from_secs(20);

/// The most memory of a service, in MiB.
const MEMORY: f64 = 32.0;

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

#[tokio::test]
#[ignore = "needs a Docker engine, and takes three minutes"]
async fn hostile_clients_of_rng_leave_speed_and_memory_as_they_were() {
    withstands_attacks("rng").await;
}

#[tokio::test]
#[ignore = "needs a Docker engine, and takes three minutes"]
async fn hostile_clients_of_hasher_leave_speed_and_memory_as_they_were() {
    withstands_attacks("hasher").await;
}

#[tokio::test]
#[ignore = "needs a Docker engine, and takes three minutes"]
async fn hostile_clients_of_webui_leave_speed_and_memory_as_they_were() {
    withstands_attacks("webui").await;
}

async fn withstands_attacks(service: &str) {
    let project = Project::new(&format!("attacks-{service}")).unwrap();
    project.scale(2).unwrap();
    until(Duration::from_secs(20), async || {
        Ok(project.hashes().await? > 0)
    })
    .await
    .unwrap();
    let address = address(&project, service).unwrap();
    let before = project.speed(TIME).await.unwrap();
    for attack in ATTACKS {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(attack_for_ever(attack, address.clone()));
        }
        let speed = project.speed(TIME).await.unwrap();
        let memory = memory(&project, service).unwrap();
        println!(
            "{attack:?} of {service}: {speed:.2} hashes a second, {:.0} % of {before:.2}; {memory:.1} MiB",
            100.0 * speed / before
        );
        assert!(speed > 0.9 * before);
        assert!(memory < MEMORY);
    }
}

/// Where this machine reaches a service, without a proxy of the engine in between.
fn address(project: &Project, service: &str) -> Result<String> {
    let container = &project.containers(service)?[0];
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = docker(&["inspect", "--format", address, container])?;
    Ok(format!("{}:80", address.trim()))
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

/// Does so again and again, a second after the service had enough of it.
async fn attack_for_ever(attack: Attack, address: String) {
    loop {
        // What the service does about it is its own affair.
        let _ = attack_once(attack, &address).await;
        sleep(Duration::from_secs(1)).await;
    }
}

async fn attack_once(attack: Attack, address: &str) -> Result<()> {
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
