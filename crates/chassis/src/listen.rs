//! The port that a service listens on.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::anyhow;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// The connections that may wait to be accepted; the kernel takes fewer if its own limit is lower.
const BACKLOG: i32 = 1024;

/// Listens on `port` at every address, IPv6 and IPv4 alike, or IPv4 alone where there is no IPv6.
///
/// # Errors
///
/// When the port is taken, or needs privileges that the process does not have.
pub fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = match listen_at(everywhere) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::AddrInUse | ErrorKind::PermissionDenied
            ) =>
        {
            listen_at((Ipv4Addr::UNSPECIFIED, port).into())
        }
        result => result,
    };
    listener.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("port {port} is taken: stop what listens there, or set PORT to another")
        }
        ErrorKind::PermissionDenied => {
            anyhow!("port {port} needs privileges: set PORT to one above 1023, say 8080")
        }
        _ => anyhow!("cannot listen on port {port}: {error}"),
    })
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A service that restarts takes its port again at once. On Windows the option would mean to
    // steal it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
