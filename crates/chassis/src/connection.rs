//! One connection: limits and graceful shutdown.

use std::{
    future::pending,
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
use tokio::{
    net::TcpStream,
    select,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;

use crate::chain;

/// Beyond it, a client that has not sent the complete head of its request is disconnected.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Read-buffer limit: head plus pipelined data.
const MAX_HEAD: usize = 16 * 1024;

/// `TCP_USER_TIMEOUT`: the kernel drops a connection whose peer acknowledges no data for this long.
#[cfg(target_os = "linux")]
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// `SO_SNDBUF`, 64 KiB, which Linux doubles: bounds the kernel memory of a client that does not read.
const SEND_BUFFER: usize = 65_536;

/// At shutdown, how long a connection without a request may still send one. Browsers open
/// connections in advance and would otherwise be waited for.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(50);

/// Serves one request on `stream`, or none if `stop` is cancelled and none arrives.
pub(crate) async fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    idle: Idle,
    stop: CancellationToken,
) {
    set_options(&stream);
    let requested = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        requested.store(true, Ordering::Relaxed);
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(client));
        idle.busy_during(router.clone().oneshot(request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        // A client that pipelines requests gets one answer for its place, like all others. The
        // workshop's clients open a connection per request anyway.
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let unused_at_shutdown = async {
        stop.cancelled().await;
        sleep(FIRST_REQUEST_GRACE).await;
        if requested.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    };
    select! {
        biased;
        result = connection => {
            if let Err(error) = result.context(client) {
                debug!("connection failed: {}", chain(&error));
            }
        }
        () = unused_at_shutdown => {}
    }
}

/// Best effort: unsupported options are ignored.
fn set_options(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // Nagle's algorithm would delay the last segment of an answer until the first is acknowledged.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(WRITE_TIMEOUT));
}

/// Idle since; `None` while a request is in flight.
#[derive(Clone)]
pub(crate) struct Idle(Arc<Mutex<Option<Instant>>>);

impl Idle {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn busy_during<T>(&self, response: impl Future<Output = T>) -> T {
        let set = |since| *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
        set(None);
        let response = response.await;
        set(Some(Instant::now()));
        response
    }
}
