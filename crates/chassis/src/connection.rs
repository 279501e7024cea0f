//! A connection: what its client may take of us, and that it ends well.

use std::{
    future::pending,
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
#[cfg(unix)]
use tokio::io::Interest;
use tokio::{
    net::TcpStream,
    select,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

/// How long a client may take to send the head of its request. Then the connection is closed.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of a head, and of what a client sends before it is its turn.
const MAX_HEAD: usize = 16 * 1024;

/// How long a client may leave unread what it was sent. Then the kernel drops the connection.
#[cfg(target_os = "linux")]
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer that the kernel holds for a client who does not take them. Linux
/// doubles the number, and without one would hold megabytes.
const SEND_BUFFER: usize = 64 * 1024;

/// How long a client that connected, but did not ask for anything before the service is to stop, has
/// to do so.
const LAST_MOMENT: Duration = Duration::from_millis(50);

/// Since when a client has not been waiting for an answer; nothing while it is.
#[derive(Clone)]
pub(crate) struct Idle(Arc<Mutex<Option<Instant>>>);

impl Idle {
    pub(crate) fn from_now_on() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn not_during<T>(&self, answer: impl Future<Output = T>) -> T {
        let set = |since| *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
        set(None);
        let answer = answer.await;
        set(Some(Instant::now()));
        answer
    }
}

/// Serves a client until it leaves, or until `stop` is cancelled and it has its answer. Keeps `idle`
/// up to date.
pub(crate) async fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    idle: Idle,
    stop: CancellationToken,
) {
    set_options(&stream);
    let hung_up = hung_up(&stream);
    let asked = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(client));
        idle.not_during(router.clone().oneshot(request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        // One request a connection: who sends many at once, and comes to stay, gets no more than the
        // others. The workshop's clients make a new connection each time anyway.
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = select! {
        biased;
        result = connection.as_mut() => result,
        () = hung_up => return,
        () = stop.cancelled() => {
            // Who is silent now may be about to ask. A browser opens connections in advance, and is
            // not waited for longer.
            if !asked.load(Ordering::Relaxed) {
                let ended = timeout(LAST_MOMENT, connection.as_mut()).await.is_ok();
                if ended || !asked.load(Ordering::Relaxed) {
                    return;
                }
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result.context(client) {
        debug!("connection lost: {error:#}");
    }
}

/// A socket that does not know one of these does without.
fn set_options(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // Without it a kernel may hold back the end of an answer until the client has confirmed its
    // beginning.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(READ_PATIENCE));
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
