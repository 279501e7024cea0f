use std::{
    fmt::Debug,
    net::{Ipv4Addr, SocketAddr},
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use proptest::{collection::vec, strategy::Strategy};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    task::JoinSet,
};

use crate::{check, get, send};

/// The concurrent connections of a case, each with an input of its own.
const CONNECTIONS: usize = 64;

/// A service on a runtime that it shares with its hostile clients.
pub struct ServerUnderTest {
    runtime: Runtime,
    address: SocketAddr,
    probe: &'static str,
}

impl ServerUnderTest {
    /// Starts a service. After each case, `GET probe` must return 200.
    ///
    /// # Panics
    ///
    /// When there is no loopback port.
    pub fn start<R>(probe: &'static str, run: impl FnOnce(TcpListener) -> R) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        runtime.spawn(run(listener));
        Self {
            runtime,
            address,
            probe,
        }
    }

    /// Runs `client` against the service with each of many `inputs`: 64 at a time, `cases` times.
    ///
    /// # Panics
    ///
    /// When a client fails, with the smallest input found; when the service panics, or its probe fails
    /// afterwards.
    pub fn survives<T, C>(
        &self,
        cases: u32,
        inputs: impl Strategy<Value = T>,
        client: impl Fn(SocketAddr, T) -> C,
    ) where
        T: Debug,
        C: Future<Output = Result<()>> + Send + 'static,
    {
        check(cases, &vec(inputs, CONNECTIONS), |inputs| {
            self.runtime.block_on(async {
                let before = panics();
                let mut clients = JoinSet::new();
                for input in inputs {
                    clients.spawn(client(self.address, input));
                }
                while let Some(result) = clients.join_next().await {
                    result??;
                }
                ensure!(panics() == before, "the service panics");
                self.probe().await.context("the probe fails afterwards")
            })
        });
    }

    async fn probe(&self) -> Result<()> {
        let response = send(self.address, &[get(self.probe)]).await?;
        ensure!(response.status() == 200, "{response:?}");
        Ok(())
    }
}

/// The panics so far, of all tasks: tokio swallows those of detached ones.
fn panics() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static COUNT: Once = Once::new();
    COUNT.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            report(panic);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}
