//! TERM and INT. The engine sends TERM to stop a container, and KILL ten seconds later to one that
//! does not hear it.

use std::{io, process};

use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info};

use crate::{Variable, variable};

/// The original ignores TERM in three of its four services, and labs show what that costs.
pub(crate) const IGNORE_SIGTERM: Variable<bool> = variable::switch(
    "IGNORE_SIGTERM",
    "y ignores TERM: the engine then waits ten seconds and kills",
);

/// Hears TERM and INT from now on: the first cancels the token that this returns, the second ends
/// the process at once.
///
/// # Errors
///
/// When the system does not let the process hear signals.
pub(crate) fn stop_on_signal(ignore_term: bool) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let first = stop.clone();
    let hear = async move {
        let mut name = signals.next().await;
        while ignore_term && name == TERM {
            info!("{name}: ignored, as IGNORE_SIGTERM says");
            name = signals.next().await;
        }
        info!("{name}: finishing what is in hand");
        first.cancel();
        signals.next().await;
        // As a shell reports a process that INT ended.
        process::exit(130)
    };
    tokio::spawn(hear.in_current_span());
    Ok(stop)
}

const TERM: &str = "TERM";

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
            _ = self.interrupt.recv() => "INT",
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
