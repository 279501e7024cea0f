//! webui as a process. What the services share is tested with rng.
#![cfg(unix)]

use subprocess::{check_serves_until_term, check_version_and_help};

const WEBUI: &str = env!("CARGO_BIN_EXE_webui");

#[tokio::test]
async fn version_and_help_print_what_it_is_and_its_variables() {
    let version = concat!("webui ", env!("CARGO_PKG_VERSION"));
    let lines = [
        ": the page, and the counters that it plots\n",
        "  PORT           the port to listen on [default: 80]\n",
        "  REDIS_URL      the URL of redis [default: redis://redis]\n",
        "  FILES          the directory of the page; missing files are served from the program [default: files]\n",
    ];
    check_version_and_help(WEBUI, version, &lines).await;
}

#[tokio::test]
async fn it_serves_on_its_port_until_term() {
    check_serves_until_term(WEBUI).await;
}
