//! Serving HTTP: a listener, a task for each connection, and an end in which nobody who is being
//! served is cut off.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, anyhow};
use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware::from_fn,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{Instrument, debug, info, warn};

use crate::{access_log::access_log, health};

/// How long a client may take to send the head of a request, and to think of its next one. Then the
/// connection is closed.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long those who are being served when the service stops have for taking their answer. Then
/// they are cut off.
const GRACE: Duration = Duration::from_millis(500);

/// How long to wait before trying again when a connection cannot be accepted: the process is out of
/// files, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connections that may wait to be accepted; the kernel takes fewer if its own limit is lower.
const BACKLOG: i32 = 1024;

/// Listens on `port` at every address, IPv6 and IPv4 alike, or IPv4 alone where there is no IPv6.
///
/// # Errors
///
/// When the port is taken, or needs privileges that the process does not have.
pub fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = match listen_at(everywhere) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::AddrInUse | ErrorKind::PermissionDenied
            ) =>
        {
            listen_at((Ipv4Addr::UNSPECIFIED, port).into())
        }
        result => result,
    };
    listener.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("port {port} is taken: stop what listens there, or set PORT to another")
        }
        ErrorKind::PermissionDenied => {
            anyhow!("port {port} needs privileges: set PORT to one above 1023, say 8080")
        }
        _ => anyhow!("cannot listen on port {port}: {error}"),
    })
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A service that restarts takes its port again at once. On Windows the option would mean to
    // steal it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Serves `router`, its health check and its access log on `listener` until `stop` is cancelled.
/// Then it takes no more connections, gives those who are being served a moment to get their
/// answer, and returns.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        info!("Listening on {address}");
    }
    let router = router.layer(from_fn(access_log)).merge(health::router());
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, client)) => {
                spawn_connection(&connections, stream, client, router.clone(), stop.clone());
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        warn!(
            "cut off {} clients that did not take their answer",
            connections.len()
        );
    }
}

/// A plain function, so that what it spawns is compiled once here, and not again in each program.
fn spawn_connection(
    connections: &TaskTracker,
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    connections.spawn(serve_connection(stream, client, router, stop).in_current_span());
}

async fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    // Without it a kernel may hold back the end of an answer until the client has confirmed its
    // beginning.
    let _ = stream.set_nodelay(true);
    let asked = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(client));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(result) => result,
        // A browser opens connections in advance: who has not asked for anything need not be waited
        // for.
        None if !asked.load(Ordering::Relaxed) => return,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result.context(client) {
        debug!("connection lost: {error:#}");
    }
}
