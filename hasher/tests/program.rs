//! hasher as a process. What the services share is tested with rng.
#![cfg(unix)]

use subprocess::{check_serves_until_term, check_version_and_help};

const HASHER: &str = env!("CARGO_BIN_EXE_hasher");

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let version = concat!("hasher ", env!("CARGO_PKG_VERSION"));
    let lines = [
        ": SHA-256 over HTTP, concurrently\n",
        "  PORT           the port to listen on [default: 80]\n",
        "  DELAY          the simulated work, such as 250ms or 1s; 0 means none [default: 100ms]\n",
    ];
    check_version_and_help(HASHER, version, &lines).await;
}

#[tokio::test]
async fn it_serves_on_its_port_until_term() {
    check_serves_until_term(HASHER).await;
}
