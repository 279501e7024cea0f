//! Serving HTTP: a listener, a task for each connection, and an end in which nobody who is being
//! served is cut off.

use std::{
    collections::VecDeque,
    future::pending,
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
use socket2::{Domain, SockRef, Socket, Type};
#[cfg(unix)]
use tokio::io::Interest;
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{Instrument, debug, info, warn};

use crate::{access_log::access_log, health};

/// How long a client may take to send the head of a request, and to think of its next one. Then the
/// connection is closed.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may leave unread what it was sent. Then the kernel drops the connection.
#[cfg(target_os = "linux")]
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer that the kernel holds for a client who does not take them. Linux
/// doubles the number, and without one would hold megabytes.
const SEND_BUFFER: usize = 64 * 1024;

/// The most bytes of a head, and of what a client sends before it is its turn.
const MAX_HEAD: usize = 16 * 1024;

/// The most connections at a time. One more takes the place of the oldest: a client that is served
/// is gone soon, so the oldest ones are those that only stay.
const MAX_CONNECTIONS: usize = 512;

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
    let mut oldest_first = VecDeque::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, client)) => {
                make_room(&mut oldest_first);
                let (router, stop) = (router.clone(), stop.clone());
                let connection = spawn_connection(&connections, stream, client, router, stop);
                oldest_first.push_back(connection);
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
) -> AbortHandle {
    let connection = serve_connection(stream, client, router, stop);
    connections
        .spawn(connection.in_current_span())
        .abort_handle()
}

fn make_room(oldest_first: &mut VecDeque<AbortHandle>) {
    oldest_first.retain(|connection| !connection.is_finished());
    if oldest_first.len() == MAX_CONNECTIONS
        && let Some(oldest) = oldest_first.pop_front()
    {
        debug!("{MAX_CONNECTIONS} connections: closing the oldest");
        oldest.abort();
    }
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
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(READ_PATIENCE));
    let hung_up = hung_up(&stream);
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
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = select! {
        biased;
        result = connection.as_mut() => result,
        () = hung_up => return,
        // A browser opens connections in advance: who has not asked for anything need not be waited
        // for.
        () = stop.cancelled() => if asked.load(Ordering::Relaxed) {
            connection.as_mut().graceful_shutdown();
            connection.await
        } else {
            return;
        }
    };
    if let Err(error) = result.context(client) {
        debug!("connection lost: {error:#}");
    }
}

/// Returns once the client has closed its side. hyper sees that by itself, but not while there is
/// something left to read: a client that sends two requests and leaves would keep its place in rng's
/// queue.
#[cfg(unix)]
fn hung_up(stream: &TcpStream) -> impl Future<Output = ()> + use<> {
    let twin = SockRef::from(stream).try_clone();
    let twin = twin.and_then(|socket| TcpStream::from_std(socket.into()));
    async move {
        let Ok(twin) = twin else {
            return pending().await;
        };
        while let Ok(ready) = twin.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            // What has come is hyper's to read: we wait for more.
            let _ = twin.try_io(Interest::READABLE, || {
                Err::<(), _>(ErrorKind::WouldBlock.into())
            });
        }
    }
}

#[cfg(not(unix))]
fn hung_up(_: &TcpStream) -> impl Future<Output = ()> + use<> {
    pending()
}
