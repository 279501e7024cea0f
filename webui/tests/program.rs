//! webui as a process. What the services share is tested with rng.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use subprocess::{Command, code_and_stderr, command, serve, stdout};

fn webui() -> Command {
    command(env!("CARGO_BIN_EXE_webui"))
}

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let version = concat!("webui ", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        stdout(webui().arg("--version")).await,
        format!("{version}\n")
    );
    let help = stdout(webui().arg("--help")).await;
    for line in [
        &format!("{version}: the page, and the counters that it plots\n"),
        "  PORT           the port to listen on [default: 80]\n",
        "  REDIS_URL      the URL of redis [default: redis://redis]\n",
        "  FILES          the directory of the page; missing files are served from the program [default: files]\n",
    ] {
        assert!(help.contains(line), "{help}");
    }
}

#[tokio::test]
async fn it_serves_on_its_port_until_term() {
    let (mut process, port) = serve(&mut webui()).await;
    let url = format!("http://127.0.0.1:{port}");
    let page = reqwest::get(format!("{url}/index.html")).await.unwrap();
    assert!(page.text().await.unwrap().contains("<title>DockerCoins"));
    let mut healthcheck = webui();
    healthcheck.args(["healthcheck", &format!("{url}/healthz")]);
    assert_eq!(
        code_and_stderr(&mut healthcheck).await,
        (Some(0), String::new())
    );
    process.signal("TERM").await;
    assert_eq!(process.exit_code().await, Some(0));
    assert_eq!(code_and_stderr(&mut healthcheck).await.0, Some(1));
}
