//! The few Redis commands that the workshop uses, in memory, over Redis's protocol.
//!
//! So the application runs where there is no Redis, and its services talk to this with their
//! ordinary client. Nothing is written to disk: the counter begins anew with each start, as with a
//! new Redis container.

mod commands;
#[cfg(feature = "testing")]
pub mod testing;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use commands::{Data, Session};
use futures_util::{SinkExt, StreamExt};
use redis_protocol::codec::Resp2;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{
    codec::Framed,
    sync::{CancellationToken, DropGuard},
};

/// A running store. Dropping it ends it, with its connections and its data.
#[derive(Debug)]
pub struct MemoryRedis {
    address: SocketAddr,
    _stop_on_drop: DropGuard,
}

impl MemoryRedis {
    /// Starts a store on a loopback port that the system chooses.
    ///
    /// # Errors
    ///
    /// When there is no port left.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts a store on this loopback port.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, stop.clone()));
        Ok(Self {
            address,
            _stop_on_drop: stop.drop_guard(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `REDIS_URL` must be for it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

async fn serve(listener: TcpListener, stop: CancellationToken) {
    let data = Data::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else { continue };
        let (data, stop) = (data.clone(), stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(answer(stream, data)).await });
    }
}

/// Answers a client until it leaves, or sends what is no command.
async fn answer(stream: TcpStream, data: Data) {
    let mut client = Framed::new(stream, Resp2::default());
    let mut session = Session::new(data);
    while let Some(Ok(command)) = client.next().await {
        if client.send(session.execute(command)).await.is_err() {
            return;
        }
    }
}
