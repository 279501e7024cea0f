//! hasher as a process. What the services share is tested with rng.
#![cfg(unix)]

use subprocess::{check_serves_until_term, check_version_and_help};

const HASHER: &str = env!("CARGO_BIN_EXE_hasher");

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let variables = [
        "[env: PORT=] [default: 80]",
        "[env: DELAY=] [default: 100ms]",
    ];
    check_version_and_help(HASHER, "SHA-256 over HTTP, concurrently\n", &variables).await;
}

#[tokio::test]
async fn it_serves_on_its_port_until_term() {
    check_serves_until_term(HASHER).await;
}
