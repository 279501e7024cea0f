//! The port that a service listens on.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::anyhow;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// The accept backlog; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Listens on `port` on all addresses, IPv6 and IPv4, or IPv4 alone on a host without IPv6. `setting`
/// is the variable that chooses the port.
///
/// # Errors
///
/// When the port is taken or privileged. See [`bind_error`].
pub fn listen(port: u16, setting: &str) -> anyhow::Result<TcpListener> {
    bind((Ipv6Addr::UNSPECIFIED, port).into())
        .or_else(|error| match error.kind() {
            ErrorKind::AddrInUse | ErrorKind::PermissionDenied => Err(error),
            _ => bind((Ipv4Addr::UNSPECIFIED, port).into()),
        })
        .map_err(|error| bind_error(port, setting, &error))
}

/// Says in one line why `port` cannot be bound and what to do: `setting` is what chooses the port.
#[must_use]
pub fn bind_error(port: u16, setting: &str, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!(
                "port {port} is taken: stop the program that listens on it, or set {setting} to another"
            )
        }
        ErrorKind::PermissionDenied => {
            anyhow!(
                "port {port} is privileged: set {setting} to one above 1023, such as 8080, or the sysctl net.ipv4.ip_unprivileged_port_start to 0"
            )
        }
        _ => anyhow!("cannot listen on port {port}: {error}"),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted service can bind its port at once. On Windows the option would allow binding a
    // port in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn it_listens_on_ipv4_and_on_ipv6() {
        let listener = listen(0, "PORT").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |host| TcpStream::connect((host, address.port()));
        assert!(connect("127.0.0.1").await.is_ok());
        assert!(address.is_ipv4() || connect("::1").await.is_ok());
    }

    #[tokio::test]
    async fn a_port_in_use_on_ipv6_alone_is_an_error() {
        let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) else {
            return; // a host without IPv6
        };
        socket.set_only_v6(true).unwrap();
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        socket.bind(&address.into()).unwrap();
        socket.listen(1).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        assert!(listen(port, "PORT").is_err());
    }

    #[test]
    fn an_error_names_the_port_the_reason_and_the_setting() {
        for (kind, message) in [
            (
                ErrorKind::AddrInUse,
                "port 80 is taken: stop the program that listens on it, or set PORT to another",
            ),
            (
                ErrorKind::PermissionDenied,
                "port 80 is privileged: set PORT to one above 1023, such as 8080, or the sysctl net.ipv4.ip_unprivileged_port_start to 0",
            ),
            (
                ErrorKind::OutOfMemory,
                "cannot listen on port 80: out of memory",
            ),
        ] {
            assert_eq!(bind_error(80, "PORT", &kind.into()).to_string(), message);
        }
    }
}
