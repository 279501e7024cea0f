//! Hostile clients: the workers go on as before, and memory stays where it was.

use std::time::Duration;

use anyhow::Result;
use e2e::{HTTP_SERVICES, Project, sh};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

/// At each service, more than it accepts connections.
const CLIENTS: usize = 500;
/// How long the speed is measured, without any and under each attack.
const TIME: Duration = Duration::from_secs(15);
/// Of a service, in MiB.
const MAX_MEMORY: f64 = 32.0;

/// What a client sends, how many times, and what it does then.
type Attack = (&'static str, usize, Then);

#[derive(Debug, Clone, Copy)]
enum Then {
    Disconnect,
    /// Until the service closes the connection.
    Stay,
    SendAByteASecond,
}

const ATTACKS: [Attack; 7] = [
    ("", 1, Then::Stay),
    ("GET /", 1, Then::SendAByteASecond),
    (POST, 1, Then::SendAByteASecond),
    (POST, 1, Then::Disconnect),
    // A header, and 100 KiB of a body.
    (UPLOAD, 2000, Then::SendAByteASecond),
    (GET, 20, Then::Disconnect),
    (GET, 100, Then::Stay),
];

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 67108864\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nxxx";

#[tokio::test]
#[ignore = "needs a Docker engine, and takes three minutes"]
async fn hundreds_of_hostile_clients_leave_speed_and_memory_as_they_were() {
    let project = Project::new("attacks");
    project.scale(2);
    let webui = project.webui();
    let addresses = HTTP_SERVICES.map(|service| format!("{}:80", project.address(service)));
    let before = webui.speed(TIME);
    for attack in ATTACKS {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            for address in &addresses {
                clients.spawn(repeat(attack, address.clone()));
            }
        }
        let webui = webui.clone();
        let speed = spawn_blocking(move || webui.speed(TIME)).await.unwrap() / before;
        let memory = HTTP_SERVICES.map(|service| {
            let stats = "docker stats --no-stream --format '{{.MemUsage}}'";
            let usage = sh!("{stats} {}", project.containers(service)[0]);
            let (mebibytes, _) = usage.split_once("MiB").unwrap();
            mebibytes.parse::<f64>().unwrap()
        });
        let percent = 100.0 * speed;
        println!("{attack:?}: {percent:.0} % of {before:.2} hashes a second, MiB: {memory:?}");
        assert!(speed > 0.9);
        assert!(memory.iter().all(|&memory| memory < MAX_MEMORY));
    }
}

/// Attacks again and again, up to two seconds after the end of the last attack.
async fn repeat(attack: Attack, address: String) {
    loop {
        sleep(Duration::from_secs_f64(2.0 * fastrand::f64())).await;
        // The service may close the connection at any point.
        let _ = run(attack, &address).await;
    }
}

async fn run((text, times, then): Attack, address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(text.repeat(times).as_bytes()).await?;
    match then {
        Then::Disconnect => {}
        Then::Stay => {
            let mut answers = Vec::new();
            timeout(Duration::from_secs(60), stream.read_to_end(&mut answers)).await??;
        }
        Then::SendAByteASecond => loop {
            stream.write_all(b"x").await?;
            sleep(Duration::from_secs(1)).await;
        },
    }
    Ok(())
}
