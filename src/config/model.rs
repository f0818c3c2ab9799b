//! The checked model: what the rest of the program is told. A value of these types has passed every
//! rule of `keys` and `check`; the defaults here are the only ones there are, and
//! `docs/floe.example.toml` gives the reason of each.

use super::mounts::Mounts;
use super::secret::Secret;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Sockets, cores and the rhythm of the sends.
    pub server: Server,
    /// Ceilings of the whole server and of one address.
    pub limits: Limits,
    /// Who may sign in.
    pub auth: Auth,
    /// What is written where.
    pub log: Log,
    /// Settings by mount path.
    pub mounts: Mounts,
}

/// Section `[server]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Addresses every listener core listens on; never empty, each named once.
    pub listen: Vec<SocketAddr>,
    /// The name under which listeners reach this server; it appears in playlists and status pages.
    pub hostname: String,
    /// Where the server stands, as shown on its status page.
    pub location: String,
    /// Whom to write to about this server.
    pub admin_contact: String,
    /// Which CPUs run listener cores.
    pub cores: Cores,
    /// Whether each core's thread stays on its CPU.
    pub pin: bool,
    /// Shortest beat (the longest time between two sends to one listener), while cores are idle.
    pub beat_min: Duration,
    /// Longest beat, on a full core; never below `beat_min`.
    pub beat_max: Duration,
    /// Connections that may wait in the kernel of each listen socket.
    pub backlog: u32,
    /// New connections each core takes in a second; 0 for no limit.
    pub accept_per_second: u32,
    /// Whether a socket filter hands a connection to the core of the CPU that received it.
    pub steer: bool,
    /// How long listeners may finish what was sent to them after the signal to stop.
    pub drain_grace: Duration,
    /// Whether a built-in source plays on `/demo`, so that a first start has something to hear.
    pub demo: bool,
}

/// Which CPUs run listener cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// One listener core on each CPU this process may use; with four or more, the first is left to
    /// the source core and the control thread.
    Auto,
    /// One listener core for each entry, on that CPU; a CPU may be named more than once.
    List(Vec<usize>),
}

/// Section `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Listeners on the whole server; 0 for as many as the machine allows.
    pub listeners: u32,
    /// Listeners from one address; 0 for no limit.
    pub listeners_per_address: u32,
    /// Connections one address may open in a second; 0 for no limit.
    pub new_connections_per_second_per_address: u32,
    /// Sources, and so mounts, at once.
    pub sources: u32,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Time for a request head to arrive whole.
    pub header_timeout: Duration,
    /// A source that sends nothing for so long is dropped.
    pub source_timeout: Duration,
    /// A listener that takes not one byte for so long is dropped.
    pub stall_timeout: Duration,
    /// Bytes a listener may fall behind before its mount's `lag` policy acts.
    pub lag_bytes: usize,
}

/// Section `[auth]`. A role without a password cannot sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// For encoders, unless their mount has its own.
    pub source_password: Option<Secret>,
    /// For servers that relay from this one.
    pub relay_password: Option<Secret>,
    /// The administrator's name.
    pub admin_user: String,
    /// The administrator's password.
    pub admin_password: Option<Secret>,
}

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least weighty lines that are still written.
    pub level: Level,
    /// How lines look.
    pub format: Format,
    /// Where the line about each ended session goes.
    pub access: LogTarget,
}

/// Weight of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that a person must mend.
    Error,
    /// Something is probably not as meant.
    Warn,
    /// Starts, stops, sources coming and going, and each session's end.
    Info,
    /// Decisions about single requests.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Where access lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
}

impl Server {
    /// The host name as URLs name it: with the port it says itself, else with that of the first
    /// address.
    pub fn authority(&self) -> String {
        let name = &self.hostname;
        // The colons within the brackets of an IPv6 address are not a port's.
        if name.rsplit(']').next().is_some_and(|tail| tail.contains(':')) {
            return name.clone();
        }
        let port = self.listen.first().map_or(8000, SocketAddr::port);
        format!("{name}:{port}")
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8000)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8000)),
            ],
            hostname: "localhost".to_owned(),
            location: "Earth".to_owned(),
            admin_contact: "icemaster@localhost".to_owned(),
            cores: Cores::Auto,
            pin: true,
            beat_min: Duration::from_millis(20),
            beat_max: Duration::from_secs(1),
            backlog: 4096,
            accept_per_second: 0,
            steer: false,
            drain_grace: Duration::from_secs(5),
            demo: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listeners: 250_000,
            listeners_per_address: 0,
            new_connections_per_second_per_address: 0,
            sources: 1000,
            header_bytes: 8192,
            header_timeout: Duration::from_secs(15),
            source_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            lag_bytes: 512 * 1024,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            source_password: None,
            relay_password: None,
            admin_user: "admin".to_owned(),
            admin_password: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, format: Format::Text, access: LogTarget::Off }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_gets_the_port_of_the_first_address_unless_it_has_one() {
        for (hostname, authority) in [
            ("radio.example", "radio.example:8000"),
            ("radio.example:80", "radio.example:80"),
            ("[2001:db8::1]", "[2001:db8::1]:8000"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ] {
            let server = Server { hostname: hostname.to_owned(), ..Server::default() };
            assert_eq!(server.authority(), authority);
        }
    }
}
