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
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use commands::Database;
use futures_util::{SinkExt, StreamExt};
use redis_protocol::codec::Resp2;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{
    codec::Framed,
    sync::{CancellationToken, DropGuard},
};

/// Delay after a failed accept, such as when the process is out of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

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
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let (database, stop) = (database.clone(), stop.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(serve_connection(stream, &database))
                .await
        });
    }
}

/// Replies until the client disconnects or violates the protocol.
async fn serve_connection(stream: TcpStream, database: &Mutex<Database>) {
    // Nagle's algorithm would delay all replies of a pipeline but the first.
    let _ = stream.set_nodelay(true);
    let mut client = Framed::new(stream, Resp2::default());
    while let Some(Ok(command)) = client.next().await {
        // A command panics before it writes or not at all, so a poisoned lock does no harm.
        let reply = database
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reply(command);
        if client.send(reply).await.is_err() {
            return;
        }
    }
}
