//! SIGTERM and SIGINT. The engine stops a container by SIGTERM, and by SIGKILL ten seconds later.

use std::{io, process};

use tokio_util::sync::CancellationToken;
use tracing::info;

/// As a shell reports a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Installs handlers for SIGTERM and SIGINT: the first signal cancels the returned token, the second
/// exits at once. The original ignores SIGTERM in three of its four services, and labs show what that
/// costs.
///
/// # Errors
///
/// When the operating system refuses a handler.
pub(crate) fn stop_on_signal(ignore_sigterm: bool) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let first = stop.clone();
    let handle = async move {
        let mut name = signals.next().await;
        while ignore_sigterm && name == TERM {
            info!("{name} ignored, because IGNORE_SIGTERM is set");
            name = signals.next().await;
        }
        info!("{name} received, shutting down");
        first.cancel();
        signals.next().await;
        process::exit(INTERRUPTED)
    };
    tokio::spawn(handle);
    Ok(stop)
}

const TERM: &str = "SIGTERM";

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => TERM,
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    async fn next(&mut self) -> &'static str {
        self.0.recv().await;
        "Ctrl-C"
    }
}
