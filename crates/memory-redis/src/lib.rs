//! A Redis in memory: the few commands that the workshop uses, over its protocol.
//!
//! So the application runs where there is no Redis, and its services use their ordinary client.
//! Nothing is written to disk: the counter begins anew with each start, as with a new Redis
//! container.

mod commands;
#[cfg(feature = "testing")]
pub mod testing;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use commands::{Database, Session};
use futures_util::{SinkExt, StreamExt};
use redis_protocol::codec::Resp2;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{
    codec::Framed,
    sync::{CancellationToken, DropGuard},
};

/// A running server. Dropping it closes its connections and discards its data.
#[derive(Debug)]
pub struct MemoryRedis {
    address: SocketAddr,
    _stop_on_drop: DropGuard,
}

impl MemoryRedis {
    /// Starts a server on a free loopback port.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts a server on this loopback port.
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

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

async fn serve(listener: TcpListener, stop: CancellationToken) {
    let database = Arc::<Mutex<Database>>::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else { continue };
        let (session, stop) = (Session::new(database.clone()), stop.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(serve_connection(stream, session))
                .await
        });
    }
}

/// Replies until the client disconnects or violates the protocol.
async fn serve_connection(stream: TcpStream, mut session: Session) {
    let mut client = Framed::new(stream, Resp2::default());
    while let Some(Ok(command)) = client.next().await {
        if client.send(session.execute(command)).await.is_err() {
            return;
        }
    }
}
