//! The client of the health check.

use std::time::Duration;

use anyhow::{Context, ensure};
use axum::{
    body::Body,
    http::{
        Request, StatusCode, Uri,
        header::HOST,
        uri::{PathAndQuery, Scheme},
    },
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Shorter than the timeout of the engine's health check, so that its log shows the reason.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends one `GET` to `url`; any status but 2xx is an error. Proxies are ignored: the engine sets
/// their variables in every container.
pub(crate) async fn check(url: &str) -> anyhow::Result<()> {
    let status = timeout(CHECK_TIMEOUT, get_status(url)).await;
    let status = status
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
        .with_context(|| format!("no answer from {url:?}"))?;
    ensure!(status.is_success(), "{url:?} answers {status}");
    Ok(())
}

/// With hyper, since all that reqwest can do beyond it would be in every image.
async fn get_status(url: &str) -> anyhow::Result<StatusCode> {
    let url: Uri = url.parse()?;
    ensure!(url.scheme() == Some(&Scheme::HTTP), "not an http URL");
    let authority = url.authority().context("no host")?;
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(format!("{host}:{port}")).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
    let request = Request::get(path).header(HOST, authority.as_str());
    let response = sender.send_request(request.body(Body::empty())?).await?;
    Ok(response.status())
}
