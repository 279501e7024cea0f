//! Serving HTTP: a listener, a task for each connection, and an end in which nobody who is being
//! served is cut off.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use axum::{Router, middleware::from_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, info, warn};

use crate::{
    access_log::access_log,
    connection::{Idle, serve_connection},
    health,
};

/// The most connections at a time. One more takes the place of one that only stays. Each takes two
/// file descriptors, and a process has 1024 of them where nobody gave it more.
const MAX_CONNECTIONS: usize = 400;

/// How long a connection is not idle yet: the request of whoever has just come may be on its way.
const TIME_TO_ASK: Duration = Duration::from_millis(100);

/// How long those who are being served when the service stops have for taking their answer. Then
/// they are cut off.
const GRACE: Duration = Duration::from_millis(500);

/// How long to wait before trying again when a connection cannot be accepted: the process is out of
/// files, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router`, its health check and its access log on `listener` until `stop` is cancelled.
/// Then it takes no more connections than those that are there already, gives them a moment to get
/// their answer, and returns.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_at_most(MAX_CONNECTIONS, listener, router, stop).await;
}

async fn serve_at_most(
    limit: usize,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    if let Ok(address) = listener.local_addr() {
        info!("Listening on {address}");
    }
    let router = router.layer(from_fn(access_log)).merge(health::router());
    let mut connections = Connections::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, client)) => {
                connections.make_room(limit);
                connections.spawn(stream, client, router.clone(), stop.clone());
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // The kernel has accepted them: closing the listener would cut them off.
    while let Ok(Ok((stream, client))) = timeout(Duration::ZERO, listener.accept()).await {
        connections.spawn(stream, client, router.clone(), stop.clone());
    }
    drop(listener);
    connections.finish().await;
}

#[derive(Default)]
struct Connections {
    tasks: TaskTracker,
    oldest_first: VecDeque<Connection>,
}

struct Connection {
    idle: Idle,
    task: AbortHandle,
}

impl Connections {
    /// Closes a connection if there are too many: the one that has been idle for the longest, or, if
    /// all are being served or have just come, the oldest. So whoever comes to ask is served, however
    /// many come to stay.
    fn make_room(&mut self, limit: usize) {
        self.oldest_first
            .retain(|connection| !connection.task.is_finished());
        if self.oldest_first.len() < limit {
            return;
        }
        let idle = self
            .oldest_first
            .iter()
            .enumerate()
            .filter_map(|(n, connection)| {
                let since = connection.idle.since()?;
                (since.elapsed() >= TIME_TO_ASK).then_some((since, n))
            });
        let leaving = idle.min().map_or(0, |(_, n)| n);
        if let Some(connection) = self.oldest_first.remove(leaving) {
            debug!("{limit} connections: closing one");
            connection.task.abort();
        }
    }

    /// A plain function, so that what it spawns is compiled once here, and not again in each
    /// program.
    fn spawn(
        &mut self,
        stream: TcpStream,
        client: SocketAddr,
        router: Router,
        stop: CancellationToken,
    ) {
        let idle = Idle::from_now_on();
        let connection = serve_connection(stream, client, router, idle.clone(), stop);
        let task = self
            .tasks
            .spawn(connection.in_current_span())
            .abort_handle();
        self.oldest_first.push_back(Connection { idle, task });
    }

    async fn finish(self) {
        self.tasks.close();
        if timeout(GRACE, self.tasks.wait()).await.is_err() {
            warn!(
                "cut off {} clients that did not take their answer",
                self.tasks.len()
            );
        }
    }
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

    /// A server that answers `/` at once, and `/wait` when it is told to.
    struct Server {
        address: SocketAddr,
        /// One for each request to `/wait`.
        arrived: UnboundedReceiver<()>,
        answer: watch::Sender<bool>,
    }

    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = unbounded_channel();
        let (answer, told) = watch::channel(false);
        let wait = async move || {
            arrive.send(()).unwrap();
            told.clone().wait_for(|&told| told).await.unwrap();
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
            answer,
        }
    }

    impl Server {
        /// A client that waits for its answer.
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

    /// What came until the other side closed, or cut the connection.
    async fn read(mut stream: TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn ask(address: SocketAddr) -> String {
        read(send(address, "GET / HTTP/1.0\r\n\r\n").await).await
    }

    #[tokio::test]
    async fn whoever_comes_to_ask_is_served_however_many_come_to_stay() {
        let mut server = start().await;
        let address = server.address;
        let waiting = server.wait().await;
        let mut idle = Vec::new();
        for _ in 0..2 * LIMIT {
            idle.push(send(address, "GET / HT").await);
            sleep(TIME_TO_ASK / 2).await;
        }
        assert!(ask(address).await.ends_with("at once"));
        // The first of them had to go, and not the one that waits for its answer.
        assert_eq!(read(idle.remove(0)).await, "");
        server.answer.send(true).unwrap();
        assert!(read(waiting).await.ends_with("waited"));
    }

    #[tokio::test]
    async fn whoever_has_just_come_has_time_to_ask() {
        let address = start().await.address;
        let mut idle = Vec::new();
        for _ in 0..LIMIT {
            idle.push(send(address, "").await);
        }
        sleep(2 * TIME_TO_ASK).await;
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
    async fn of_those_who_asked_the_oldest_goes() {
        let mut server = start().await;
        let first = server.wait().await;
        let mut others = Vec::new();
        for _ in 1..LIMIT {
            others.push(server.wait().await);
        }
        assert!(ask(server.address).await.ends_with("at once"));
        assert_eq!(read(first).await, "");
        server.answer.send(true).unwrap();
        for other in others {
            assert!(read(other).await.ends_with("waited"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_takes_ten_seconds_at_most() {
        let address = start().await.address;
        let start = Instant::now();
        let mut slow = send(address, "GET /").await;
        // A byte a second, until the other side has enough of it.
        while slow.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
            assert!(start.elapsed() < Duration::from_secs(15));
        }
        assert!(start.elapsed() >= Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_head_has_16_kib_at_most() {
        let address = start().await.address;
        for (size, status) in [(10_000, " 200 OK"), (20_000, " 431 ")] {
            let x = "x".repeat(size);
            let stream = send(address, &format!("GET / HTTP/1.0\r\nx: {x}\r\n\r\n")).await;
            assert!(read(stream).await.contains(status), "{size}");
        }
    }

    #[tokio::test]
    async fn at_the_end_whoever_got_through_has_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get("at once"));
        let stop = CancellationToken::new();
        // Nobody accepts them before it is to stop.
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        stop.cancel();
        let serving = tokio::spawn(serve(listener, router, stop));
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
