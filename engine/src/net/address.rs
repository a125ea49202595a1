//! Addresses as programs write them, and as UDP messages carry them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use socket2::SockAddr;

/// Where to connect to or listen on.
pub(super) enum Place {
    /// Needs no resolver.
    Known(SockAddr),
    /// A name.
    Name,
}

/// `unix:PATH`, an IP address (an empty host is 0.0.0.0), or a name.
pub(super) fn place(host: &str, port: u16) -> io::Result<Place> {
    if let Some(path) = host.strip_prefix("unix:") {
        return SockAddr::unix(path).map(Place::Known);
    }
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Ok(match host.parse::<IpAddr>() {
        Ok(ip) => Place::Known(SocketAddr::new(ip, port).into()),
        Err(_) => Place::Name,
    })
}

/// Asks the system's resolver: blocks.
pub(super) fn resolve(host: &str, port: u16) -> io::Result<Vec<SockAddr>> {
    Ok((host, port).to_socket_addrs()?.map(SockAddr::from).collect())
}

/// The first address of a host. Blocks when it is a name.
pub(super) fn first(host: &str, port: u16) -> io::Result<SockAddr> {
    match place(host, port)? {
        Place::Known(address) => Ok(address),
        Place::Name => {
            let found = resolve(host, port)?.into_iter().next();
            found.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
        }
    }
}

/// What the system says of an error, without what Rust adds to it.
pub(super) fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" (os error ")
        .map_or(text.as_str(), |(text, _)| text);
    text.strip_prefix("failed to lookup address information: ")
        .unwrap_or(text)
        .to_owned()
}

/// `ip:port`, or the path of a Unix domain socket.
pub(super) fn name(address: &SockAddr) -> String {
    match address.as_socket() {
        Some(address) => format!("{}:{}", address.ip(), address.port()),
        None => ip(address),
    }
}

/// The IP address, or the path of a Unix domain socket.
pub(super) fn ip(address: &SockAddr) -> String {
    match address.as_socket() {
        Some(address) => address.ip().to_string(),
        None => format!(
            "unix:{}",
            address
                .as_pathname()
                .map(|path| path.display().to_string())
                .unwrap_or_default()
        ),
    }
}

/// The packed form of an address: 1 or 2 for its family, the port in network order, 4 or 16 bytes.
pub(super) fn pack(address: SocketAddr) -> Vec<u8> {
    let mut packed = vec![if address.is_ipv4() { 1 } else { 2 }];
    packed.extend(address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => packed.extend(ip.octets()),
        IpAddr::V6(ip) => packed.extend(ip.octets()),
    }
    packed
}

/// Reads a packed address, 7 or 19 bytes; none when it is none.
///
/// ```
/// let address = fulmar_engine::unpack_address(&[1, 0, 80, 127, 0, 0, 1]).unwrap();
/// assert_eq!(address.to_string(), "127.0.0.1:80");
/// assert!(fulmar_engine::unpack_address(&[3, 0, 80]).is_none());
/// ```
pub fn unpack_address(packed: &[u8]) -> Option<SocketAddr> {
    let (&family, rest) = packed.split_first()?;
    let (port, ip) = rest.split_at_checked(2)?;
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
}
