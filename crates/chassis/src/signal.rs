//! SIGTERM and SIGINT. The engine stops a container by SIGTERM, and by SIGKILL ten seconds later.

use std::{
    future, io, process,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::{select, signal::ctrl_c, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::Settings;

/// Since the first signal, the process is not ready.
static SHUTTING_DOWN: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_shutting_down() -> bool {
    SHUTTING_DOWN.load(Ordering::Relaxed)
}

/// As a shell reports a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Installs handlers for SIGTERM and SIGINT: the first signal cancels the returned token, after the
/// shutdown delay, and the second exits at once. The original ignores SIGTERM in three of its four
/// services, and labs show the cost.
///
/// # Errors
///
/// When the operating system refuses a handler.
pub(crate) fn stop_on_signal(settings: &Settings) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = terminate()?;
    let first = stop.clone();
    let (ignore_sigterm, delay) = (settings.ignore_sigterm, settings.shutdown_delay);
    let handle = async move {
        let mut name = next_signal(&mut terminate).await;
        while ignore_sigterm && name == TERM {
            info!("{name} ignored, because IGNORE_SIGTERM is set");
            name = next_signal(&mut terminate).await;
        }
        info!("{name} received, shutting down");
        SHUTTING_DOWN.store(true, Ordering::Relaxed);
        let shutdown = async {
            sleep(delay).await;
            first.cancel();
            future::pending::<()>().await;
        };
        select! {
            () = shutdown => {}
            _ = next_signal(&mut terminate) => process::exit(INTERRUPTED),
        }
    };
    tokio::spawn(handle);
    Ok(stop)
}

const TERM: &str = "SIGTERM";

#[cfg(unix)]
type Terminate = tokio::signal::unix::Signal;
#[cfg(windows)]
type Terminate = tokio::signal::windows::CtrlBreak;

#[cfg(unix)]
fn terminate() -> io::Result<Terminate> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
}
#[cfg(windows)]
use tokio::signal::windows::ctrl_break as terminate;

async fn next_signal(terminate: &mut Terminate) -> &'static str {
    select! {
        _ = terminate.recv() => TERM,
        _ = ctrl_c() => "SIGINT",
    }
}
