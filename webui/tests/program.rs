//! webui as a process. What the services share is tested with rng.
#![cfg(unix)]

use subprocess::{check_serves_until_term, check_version_and_help, command, serve};

const WEBUI: &str = env!("CARGO_BIN_EXE_webui");

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let variables = [
        "[env: PORT=] [default: 80]",
        "[env: REDIS_URL] [default: redis://redis]",
        "[env: FILES=] [default: files]",
    ];
    let about = "The page, and the counters that it plots\n";
    check_version_and_help(WEBUI, about, &variables).await;
}

#[tokio::test]
async fn it_serves_on_its_port_until_term() {
    check_serves_until_term(WEBUI).await;
}

#[tokio::test]
async fn the_access_log_has_a_hyphen_as_the_size_of_an_empty_body() {
    let (mut webui, port) = serve(&mut command(WEBUI)).await;
    // The client follows the redirect; the first line is of the redirect itself.
    let _ = reqwest::get(format!("http://127.0.0.1:{port}/")).await;
    let line = webui.line().await;
    assert!(line.contains("] \"GET / HTTP/1.1\" 302 - 0."), "{line}");
}
