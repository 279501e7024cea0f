//! The HTTP server: accept loop, connection limit, timeouts, graceful shutdown.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    middleware::from_fn_with_state,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{Instrument, debug, info, warn};

use crate::{
    metrics::Metrics,
    requests::{Requests, observe},
};

/// Beyond it, accepting one evicts the connection that has been idle longest.
const MAX_CONNECTIONS: usize = 400;

/// File descriptors that a process is to have: macOS grants 256 unless it asks for more.
const FILE_LIMIT: u64 = 1024;

/// File descriptors for everything but connections: files, the log, redis, name look-ups.
const RESERVED_FILES: usize = 64;

/// A connection counts as idle after this long without a request: the first one may be in transit.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// Beyond it, a client that has not sent the complete head of its request is disconnected.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Read-buffer limit: head plus pipelined data.
const MAX_HEAD: usize = 16 * 1024;

/// `TCP_USER_TIMEOUT`: the kernel drops a connection whose peer acknowledges no data for this long.
#[cfg(target_os = "linux")]
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// `SO_SNDBUF`, 64 KiB, which Linux doubles: bounds the kernel memory of a client that does not read.
const SEND_BUFFER: usize = 65_536;

/// Graceful-shutdown timeout for in-flight requests.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// At shutdown, how long a connection may still send its first byte. Browsers open connections in
/// advance and would otherwise be waited for.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(50);

/// Delay after a failed accept, such as when the process is out of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Serves `router` with an access log, `/healthz` and `/metrics` on `listener` until `stop` is
/// cancelled. Then drains the accept backlog, closes the listener, waits up to 500 ms for in-flight
/// requests, and returns.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    mut metrics: Metrics,
    stop: CancellationToken,
) {
    let requests = Requests::register(&mut metrics);
    let router = router.layer(from_fn_with_state(requests, observe));
    let router = router.merge(metrics.into_router());
    if let Ok(address) = listener.local_addr() {
        info!("Listening on {address}");
    }
    serve_at_most(max_connections(), listener, router, stop).await;
}

/// Serves only `/healthz` and `/metrics`, for a program that serves nothing else.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, stop: CancellationToken) {
    let not_allowed = (StatusCode::METHOD_NOT_ALLOWED, "method not allowed: GET\n");
    let not_found = (
        StatusCode::NOT_FOUND,
        "not found: the metrics are at /metrics\n",
    );
    let router = metrics.into_router();
    let router = router.method_not_allowed_fallback(async move || not_allowed);
    let router = router.fallback(async move || not_found);
    serve_at_most(max_connections(), listener, router, stop).await;
}

/// Fewer than [`MAX_CONNECTIONS`] where the operating system grants fewer file descriptors.
fn max_connections() -> usize {
    let files = rlimit::increase_nofile_limit(FILE_LIMIT).unwrap_or(FILE_LIMIT);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    MAX_CONNECTIONS.min(files.saturating_sub(RESERVED_FILES).max(1))
}

async fn serve_at_most(
    limit: usize,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    let mut connections = Connections::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, client)) => {
                connections.evict(limit);
                connections.spawn(stream, client, router.clone(), stop.clone());
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                connections.evict(0);
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    // Drain the accept backlog: closing the listener would reset it.
    while let Ok(Ok((stream, client))) = timeout(Duration::ZERO, listener.accept()).await {
        connections.spawn(stream, client, router.clone(), stop.clone());
    }
    drop(listener);
    connections.drain().await;
}

#[derive(Default)]
struct Connections {
    tasks: TaskTracker,
    oldest_first: VecDeque<Connection>,
}

struct Connection {
    idle: IdleSince,
    task: AbortHandle,
}

/// `None` while a request is in flight.
type IdleSince = Arc<Mutex<Option<Instant>>>;

impl Connections {
    /// At the limit, closes the connection that has been idle longest, or the oldest if none is idle.
    /// Idle connections cannot starve active clients.
    fn evict(&mut self, limit: usize) {
        self.oldest_first
            .retain(|connection| !connection.task.is_finished());
        if self.oldest_first.len() < limit {
            return;
        }
        let idle_since = |connection: &Connection| {
            let since = *connection
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            since.filter(|since| since.elapsed() >= IDLE_AFTER)
        };
        let connections = self.oldest_first.iter().enumerate();
        let idle = connections.filter_map(|(n, connection)| Some((idle_since(connection)?, n)));
        let evicted = idle.min().map_or(0, |(_, n)| n);
        if let Some(connection) = self.oldest_first.remove(evicted) {
            debug!("{limit} connections: evicting one");
            connection.task.abort();
        }
    }

    fn spawn(
        &mut self,
        stream: TcpStream,
        client: SocketAddr,
        router: Router,
        stop: CancellationToken,
    ) {
        let idle = IdleSince::new(Mutex::new(Some(Instant::now())));
        let connection = serve_connection(stream, client, router, idle.clone(), stop);
        let task = self.tasks.spawn(connection.in_current_span());
        let task = task.abort_handle();
        self.oldest_first.push_back(Connection { idle, task });
    }

    async fn drain(self) {
        self.tasks.close();
        if timeout(SHUTDOWN_GRACE, self.tasks.wait()).await.is_err() {
            warn!(
                "shutdown timeout: closing {} connections with requests in flight",
                self.tasks.len()
            );
        }
    }
}

/// Serves one request on `stream`, or none if `stop` is cancelled and none arrives.
async fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    idle: IdleSince,
    stop: CancellationToken,
) {
    set_options(&stream);
    let set_idle = |since| *idle.lock().unwrap_or_else(PoisonError::into_inner) = since;
    let service = service_fn(async |request: hyper::Request<Incoming>| {
        set_idle(None);
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(client));
        let response = router.clone().oneshot(request).await;
        set_idle(Some(Instant::now()));
        response
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        // One request per connection: a client that pipelines requests would hold several places in
        // the queue of rng.
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let shutdown = async {
        stop.cancelled().await;
        sleep(FIRST_REQUEST_GRACE).await;
    };
    let result = select! {
        biased;
        result = connection.as_mut() => result,
        () = shutdown => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result.context(client) {
        debug!("connection failed: {error:#}");
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::{
            mpsc::{UnboundedReceiver, unbounded_channel},
            watch,
        },
        time::Instant,
    };

    use super::*;

    const LIMIT: usize = 8;

    /// Answers `/` at once, and `/wait` once `release` is true.
    struct Server {
        address: SocketAddr,
        /// A message per request to `/wait`.
        arrived: UnboundedReceiver<()>,
        release: watch::Sender<bool>,
    }

    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = unbounded_channel();
        let (release, released) = watch::channel(false);
        let wait = async move || {
            arrive.send(()).unwrap();
            released
                .clone()
                .wait_for(|&released| released)
                .await
                .unwrap();
            "waited"
        };
        let router = Router::new()
            .route("/", get("at once"))
            .route("/wait", get(wait));
        let stop = CancellationToken::new();
        tokio::spawn(serve_at_most(LIMIT, listener, router, stop));
        Server {
            address,
            arrived,
            release,
        }
    }

    impl Server {
        /// A connection with a request in flight.
        async fn wait(&mut self) -> TcpStream {
            let stream = send(self.address, "GET /wait HTTP/1.0\r\n\r\n").await;
            self.arrived.recv().await.unwrap();
            stream
        }
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// What arrives until the server closes or resets the connection.
    async fn read(mut stream: TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get_root(address: SocketAddr) -> String {
        read(send(address, "GET / HTTP/1.0\r\n\r\n").await).await
    }

    #[tokio::test]
    async fn idle_connections_are_evicted_before_active_ones() {
        let mut server = start().await;
        let address = server.address;
        let waiting = server.wait().await;
        let mut idle = Vec::new();
        for _ in 0..2 * LIMIT {
            idle.push(send(address, "GET / HT").await);
            sleep(IDLE_AFTER / 2).await;
        }
        assert!(get_root(address).await.ends_with("at once"));
        // The oldest idle one was evicted, and not the older one with a request in flight.
        assert_eq!(read(idle.remove(0)).await, "");
        server.release.send(true).unwrap();
        assert!(read(waiting).await.ends_with("waited"));
    }

    #[tokio::test]
    async fn a_new_connection_is_not_evicted_before_it_can_send_a_request() {
        let address = start().await.address;
        let mut idle = Vec::new();
        for _ in 0..LIMIT {
            idle.push(send(address, "").await);
        }
        sleep(2 * IDLE_AFTER).await;
        let mut newcomers = Vec::new();
        for _ in 0..LIMIT {
            newcomers.push(send(address, "").await);
        }
        for mut newcomer in newcomers {
            newcomer.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            assert!(read(newcomer).await.ends_with("at once"));
        }
    }

    #[tokio::test]
    async fn without_idle_connections_the_oldest_is_evicted() {
        let mut server = start().await;
        let first = server.wait().await;
        let mut others = Vec::new();
        for _ in 1..LIMIT {
            others.push(server.wait().await);
        }
        assert!(get_root(server.address).await.ends_with("at once"));
        assert_eq!(read(first).await, "");
        server.release.send(true).unwrap();
        for other in others {
            assert!(read(other).await.ends_with("waited"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_takes_over_ten_seconds_closes_the_connection() {
        let address = start().await.address;
        let start = Instant::now();
        let mut slow = send(address, "GET /").await;
        // One byte per second until the server closes the connection.
        while slow.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
            assert!(start.elapsed() < Duration::from_secs(15));
        }
        assert!(start.elapsed() >= Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_malformed_request_is_refused_and_the_next_client_is_served() {
        let address = start().await.address;
        let x = |length| "x".repeat(length);
        let get = "GET / HTTP/1.1\r\n";
        let post = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n";
        for (request, status) in [
            (format!("{get}x: {}\r\n\r\n", x(10_000)), "200 OK"),
            (format!("{get}x: {}\r\n\r\n", x(20_000)), "431 "),
            (format!("GET /{} HTTP/1.1\r\n\r\n", x(20_000)), "431 "),
            (format!("{get}{}\r\n", "x: y\r\n".repeat(200)), "431 "),
            ("GET / HTTP/3.0\r\n\r\n".into(), "400 "),
            ("GET /\0 HTTP/1.1\r\n\r\n".into(), "400 "),
            (format!("{get}\0: x\r\n\r\n"), "400 "),
            (format!("{get}content-length: -1\r\n\r\n"), "400 "),
            (format!("{get}content-length: 5, 6\r\n\r\n"), "400 "),
            (format!("{post}\r\nx\r\n"), "405 "),
            // The transfer encoding takes precedence, and what follows is no second request.
            (
                format!("{post}content-length: 99\r\n\r\n0\r\n\r\n{get}\r\n"),
                "405 ",
            ),
            // As many as a client pipelines: a connection serves one.
            (format!("{get}\r\n").repeat(3), "200 OK"),
            ("\u{16}\u{3}\u{1}".into(), "400 "),
            ("GET / HT".into(), ""),
        ] {
            let mut stream = send(address, &request).await;
            stream.shutdown().await.unwrap();
            let response = read(stream).await;
            let start = if status.is_empty() { "" } else { "HTTP/1.1 " };
            assert!(
                response.starts_with(&format!("{start}{status}")),
                "{request}: {response}"
            );
            let responses = response.matches("HTTP/1.1 ").count();
            assert_eq!(
                responses,
                usize::from(!status.is_empty()),
                "{request}: {response}"
            );
            assert!(get_root(address).await.ends_with("at once"));
        }
    }

    #[tokio::test]
    async fn connections_in_the_accept_backlog_are_served_at_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get("at once"));
        let stop = CancellationToken::new();
        // Established by the kernel, accepted only after the stop.
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        stop.cancel();
        let serving = tokio::spawn(serve_at_most(LIMIT * 2, listener, router, stop));
        for client in &mut clients {
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
        }
        for client in clients {
            assert!(read(client).await.ends_with("at once"));
        }
        serving.await.unwrap();
    }
}
