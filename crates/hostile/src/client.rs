use std::{future::pending, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use http::Response;
use httparse::{EMPTY_HEADER, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    select,
    task::yield_now,
    time::timeout,
};

use crate::literal;

/// A hostile client closes its side after this long without data.
const IDLE_TIMEOUT: Duration = Duration::from_millis(10);

/// A service hangs that takes longer to respond, or to close after its client did. Shorter than the
/// timeout of the services for a request that is incomplete.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(8);

/// All headers that a service sends. None reveals what it is made of.
const HEADERS: [&str; 18] = [
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "last-modified",
    "location",
    "permissions-policy",
    "referrer-policy",
    "retry-after",
    "transfer-encoding",
    "x-content-type-options",
];

/// A valid request, the last one of its connection.
#[must_use]
pub fn get(target: impl AsRef<[u8]>) -> Vec<u8> {
    let end = b" HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    [b"GET ", target.as_ref(), end].concat()
}

/// Writes the pieces one by one and reads until the service closes the connection.
///
/// # Errors
///
/// When the service hangs or its response is not [valid](Received).
pub async fn send(address: SocketAddr, pieces: &[Vec<u8>]) -> Result<Response<Vec<u8>>> {
    let request = || literal(&pieces.concat());
    let received = exchange(address, pieces, None).await;
    received
        .and_then(|received| received.response.context("no response"))
        .with_context(request)
}

/// Writes the pieces one by one, closes its side once nothing more comes back, and reads until the
/// service closes the connection.
///
/// # Errors
///
/// When the service hangs or its response is not [valid](Received).
pub async fn send_then_half_close(address: SocketAddr, pieces: &[Vec<u8>]) -> Result<Received> {
    let request = || literal(&pieces.concat());
    exchange(address, pieces, Some(IDLE_TIMEOUT))
        .await
        .with_context(request)
}

async fn exchange(
    address: SocketAddr,
    pieces: &[Vec<u8>],
    half_close_after: Option<Duration>,
) -> Result<Received> {
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.context("it accepts no connection")?;
    // Without it, closed connections in TIME_WAIT would use up the ports.
    let _ = stream.set_zero_linger();
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        for piece in pieces {
            // A service may close before it has read everything.
            if writer.write_all(piece).await.is_err() {
                break;
            }
            yield_now().await;
        }
        pending().await
    };
    let read = async {
        let idle_timeout = half_close_after.unwrap_or(RESPONSE_TIMEOUT);
        while let Ok(read) = timeout(idle_timeout, reader.read_buf(&mut bytes)).await {
            if !matches!(read, Ok(1..)) {
                return true;
            }
        }
        false
    };
    let closed = select! {
        closed = read => closed,
        closed = write => closed,
    };
    if !closed {
        ensure!(half_close_after.is_some(), "it hangs");
        let _ = writer.shutdown().await;
        let end = timeout(RESPONSE_TIMEOUT, reader.read_to_end(&mut bytes)).await;
        ensure!(end.is_ok(), "it hangs");
    }
    let response = parse(&bytes).with_context(|| literal(&bytes))?;
    Ok(Received { bytes, response })
}

/// What a client received: nothing, or one response that is HTTP, has no header but those that we
/// send, and no status that says the service failed (5xx; but 503 is deliberate).
#[derive(Debug)]
pub struct Received {
    /// All of it.
    pub bytes: Vec<u8>,
    /// `None` if the connection was closed before the head was complete.
    pub response: Option<Response<Vec<u8>>>,
}

fn parse(bytes: &[u8]) -> Result<Option<Response<Vec<u8>>>> {
    let mut headers = [EMPTY_HEADER; HEADERS.len()];
    let mut head = httparse::Response::new(&mut headers);
    let Status::Complete(length) = head.parse(bytes)? else {
        return Ok(None);
    };
    let (status, body) = (head.code.unwrap_or_default(), &bytes[length..]);
    if status == 100 {
        return parse(body);
    }
    ensure!(matches!(status, 200..500 | 503), "status {status}");
    let mut response = Response::builder().status(status);
    for header in head.headers {
        let printable = header.value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        ensure!(printable && HEADERS.contains(&header.name), "{header:?}");
        response = response.header(header.name, header.value);
    }
    let second = body.windows(7).any(|window| window == b"HTTP/1.");
    ensure!(!second, "a second response");
    Ok(Some(response.body(body.to_vec())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_one_http_response_without_failure_or_unknown_header() {
        for valid in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Payload Too Large\r\n\r\n",
            "HTTP/1.0 503 Service Unavailable\r\nretry-after: 10\r\n\r\n",
        ] {
            assert!(parse(valid.as_bytes()).unwrap().is_some(), "{valid}");
        }
        for incomplete in ["", "HTTP/1.", "HTTP/1.1 200 OK\r\nallow: GET\r\n"] {
            let response = parse(incomplete.as_bytes()).unwrap();
            assert!(response.is_none(), "{incomplete}");
        }
        for invalid in [
            "hello",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 99 Early\r\n\r\n",
            "HTTP/1.1 500 Internal Server Error\r\n\r\n",
            "HTTP/1.1 504 Gateway Timeout\r\n\r\n",
            "HTTP/1.1 200 OK\r\nserver: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nallow: GET\0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nallow: \u{fc}\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Internal Server Error\r\n\r\n",
        ] {
            assert!(parse(invalid.as_bytes()).is_err(), "{invalid}");
        }
    }
}
