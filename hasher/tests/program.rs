//! hasher as a process. What the services share is tested with rng.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use subprocess::{Command, code_and_stderr, command, serve, stdout};

fn hasher() -> Command {
    command(env!("CARGO_BIN_EXE_hasher"))
}

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let version = concat!("hasher ", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        stdout(hasher().arg("--version")).await,
        format!("{version}\n")
    );
    let help = stdout(hasher().arg("--help")).await;
    for line in [
        &format!("{version}: SHA-256 over HTTP, concurrently\n"),
        "  PORT           the port to listen on [default: 80]\n",
        "  DELAY          the simulated work, such as 250ms or 1s; 0 means none [default: 100ms]\n",
    ] {
        assert!(help.contains(line), "{help}");
    }
}

#[tokio::test]
async fn it_serves_on_its_port_until_term() {
    let (mut process, port) = serve(&mut hasher()).await;
    let url = format!("http://127.0.0.1:{port}/healthz");
    let mut healthcheck = hasher();
    healthcheck.args(["healthcheck", &url]);
    assert_eq!(
        code_and_stderr(&mut healthcheck).await,
        (Some(0), String::new())
    );
    process.signal("TERM").await;
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(code_and_stderr(&mut healthcheck).await.0, Some(1));
}
