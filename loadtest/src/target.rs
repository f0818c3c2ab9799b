//! Where load may go: a parsed `http://host:port/mount`, and the refusal of hosts that are not ours.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A server to load, and optionally a mount on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path with its leading slash; `/` if the URL had none.
    pub path: String,
}

/// Why a target cannot be used.
#[derive(Debug)]
pub enum TargetError {
    /// It does not begin with `http://`.
    NotHttp,
    /// There is no host, or the port is no number from 1 to 65535.
    BadAuthority,
    /// The path has a space or a control character, which would end the request line.
    BadPath,
    /// The name has no address.
    Unresolved(io::Error),
    /// The address is public and was not named by `--i-may-load-this-host`.
    Public(SocketAddr),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the target must begin with http://"),
            Self::BadAuthority => f.write_str("the target needs a host and a valid port"),
            Self::BadPath => f.write_str("the path holds a space or a control character"),
            Self::Unresolved(error) => write!(f, "the target's host has no address: {error}"),
            Self::Public(address) => write!(
                f,
                "{} is neither loopback nor private; load it only with its owner's leave, \
                 by --i-may-load-this-host HOST",
                address.ip()
            ),
        }
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// Reads `http://host[:port][/path]`; the port is 8000 if missing, as Icecast's is.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let rest = url.strip_prefix("http://").ok_or(TargetError::NotHttp)?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        if !is_request_path(path) {
            return Err(TargetError::BadPath);
        }
        let (host, port) = split_authority(authority).ok_or(TargetError::BadAuthority)?;
        Ok(Self { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// The address to connect to, if load may go there. `leave_for` is the host that the user
    /// vouches for; it must be the target's own, letter by letter.
    pub fn resolve(&self, leave_for: Option<&str>) -> Result<SocketAddr, TargetError> {
        let mut addresses =
            (self.host.as_str(), self.port).to_socket_addrs().map_err(TargetError::Unresolved)?;
        let none = || TargetError::Unresolved(io::ErrorKind::NotFound.into());
        let address = addresses.next().ok_or_else(none)?;
        if is_ours(address.ip()) || leave_for == Some(self.host.as_str()) {
            Ok(address)
        } else {
            Err(TargetError::Public(address))
        }
    }

    /// The `Host` header's value.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Whether `path` can stand in a request line as it is.
pub fn is_request_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

/// `mount` once for each of `count` numbers: in place of `{n}` if it has that, else at its end. A
/// count of one leaves a mount without `{n}` as it is.
pub fn numbered_mounts(mount: &str, count: u32) -> Vec<String> {
    if count == 1 && !mount.contains("{n}") {
        return vec![mount.to_owned()];
    }
    let pattern = if mount.contains("{n}") { mount.to_owned() } else { format!("{mount}{{n}}") };
    (0..count).map(|number| pattern.replace("{n}", &number.to_string())).collect()
}

fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let name_like = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(name_like) {
        return None;
    }
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|&port| port > 0)?,
        None => 8_000,
    };
    Some((host, port))
}

/// Loopback, private (RFC 1918, RFC 4193) and link-local addresses: machines of the user's own net.
fn is_ours(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_ours(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        let target = Target::parse("http://127.0.0.1:8010/live?x=1").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("127.0.0.1", 8_010));
        assert_eq!(target.path, "/live?x=1");
        assert_eq!(target.authority(), "127.0.0.1:8010");
        let v6 = Target::parse("http://[::1]").unwrap();
        assert_eq!((v6.authority().as_str(), v6.path.as_str()), ("[::1]:8000", "/"));
    }

    #[test]
    fn broken_urls_are_refused_at_every_cut() {
        for url in [
            "https://a/",
            "http://",
            "http://:80/",
            "http://a:0/",
            "http://a:65536/",
            "http://[::1/",
            "http://[::1]x/",
            "http://a b/",
            "http://a@b/",
            "http://a/b c",
            "http://a/b\r\nX: y",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
        let url = "http://[fd00::1]:8000/live";
        for cut in 0..url.len() {
            // No cut may panic; some are valid by themselves.
            let _ = Target::parse(&url[..cut]);
        }
    }

    #[test]
    fn public_hosts_need_leave_by_their_own_name() {
        let public = Target::parse("http://192.0.2.7/").unwrap();
        assert!(matches!(public.resolve(None), Err(TargetError::Public(_))));
        assert!(matches!(public.resolve(Some("192.0.2.8")), Err(TargetError::Public(_))));
        assert!(public.resolve(Some("192.0.2.7")).is_ok());
        for ours in [
            "127.9.9.9",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.7.7",
            "169.254.1.1",
            "[::1]",
            "[fd12::1]",
            "[fc00::1]",
            "[fe80::1]",
            "[febf::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(
                Target::parse(&format!("http://{ours}/")).unwrap().resolve(None).is_ok(),
                "{ours}"
            );
        }
        for other in [
            "172.32.0.1",
            "8.8.8.8",
            "[2001:db8::1]",
            "[::ffff:8.8.8.8]",
            "[fec0::1]",
            "[fe00::1]",
            "[::127.0.0.1]",
            "0.0.0.0",
            "[::]",
        ] {
            assert!(
                Target::parse(&format!("http://{other}/")).unwrap().resolve(None).is_err(),
                "{other}"
            );
        }
    }

    #[test]
    fn mounts_are_numbered_where_asked() {
        assert_eq!(numbered_mounts("/live", 1), ["/live"]);
        assert_eq!(numbered_mounts("/live", 2), ["/live0", "/live1"]);
        assert_eq!(numbered_mounts("/a{n}.mp3", 1), ["/a0.mp3"]);
    }
}
