//! What a core writes about ended sessions: Icecast's access line into the log writer's queue, and
//! one structured line with reason and culprit. Neither ever waits.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::base::{CloseReason, Moment, MountId};
use crate::rt::clock::Clock;
use crate::rt::net::unpack;
use crate::rt::wire::Wire;

use super::core::Core;
use super::request::Request;
use super::row::Row;

/// One access line's facts.
struct Access<'a> {
    address: IpAddr,
    method: &'a str,
    target: &'a str,
    http_minor: u8,
    status: u16,
    bytes: u64,
    referrer: &'a str,
    agent: &'a str,
    seconds: u64,
}

impl Access<'_> {
    /// Icecast's form: combined, and the seconds connected at the end.
    fn line(&self) -> String {
        let Self { address, method, http_minor, status, bytes, seconds, .. } = self;
        let date = Clock::wall().log_date();
        let mut line = String::with_capacity(160);
        // Writing into a String cannot fail.
        let _ = write!(line, "{address} - - [{date}] \"{method} ");
        quote(&mut line, self.target);
        let _ = write!(line, " HTTP/1.{http_minor}\" {status} {bytes} \"");
        quote(&mut line, self.referrer);
        line.push_str("\" \"");
        quote(&mut line, self.agent);
        let _ = writeln!(line, "\" {seconds}");
        line
    }
}

/// Appends text that cannot end its quotes or its line: what a client sends must not forge a line.
fn quote(line: &mut String, text: &str) {
    if text.is_empty() {
        line.push('-');
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                line.push('\\');
                line.push(character);
            }
            control if control.is_control() => line.push('?'),
            plain => line.push(plain),
        }
    }
}

impl Core {
    fn access(&self, access: &Access<'_>) {
        if let Some(log) = &self.access_log
            && !log.push(access.line())
        {
            self.counters.log_dropped.add(1);
        }
    }

    /// A listener left.
    pub(super) fn journal_listener(
        &self,
        mount: MountId,
        row: &Row<Wire>,
        reason: CloseReason,
        now: Moment,
    ) {
        let address = unpack(row.address);
        let seconds = u64::from(row.seconds_on(now));
        let path = self.mounts.get(&mount).map_or("-", |mount| &mount.info.path);
        tracing::info!(
            target: "floe::session",
            kind = "listener",
            id = row.id.0,
            mount = path,
            %address,
            reason = reason.label(),
            culprit = ?reason.culprit(),
            bytes = row.bytes_sent,
            seconds,
        );
        self.access(&Access {
            address,
            method: "GET",
            target: self.labels.text(row.target),
            http_minor: row.http_minor,
            status: 200,
            bytes: row.bytes_sent,
            referrer: self.labels.text(row.referrer),
            agent: self.labels.text(row.agent),
            seconds,
        });
    }

    /// A source ended.
    pub(super) fn journal_source(
        &self,
        peer: SocketAddr,
        request: &Request,
        reason: CloseReason,
        bytes: u64,
        began: Moment,
    ) {
        let seconds = self.clock.now().since(began).as_secs();
        tracing::info!(
            target: "floe::session",
            kind = "source",
            mount = request.path,
            address = %peer.ip(),
            reason = reason.label(),
            culprit = ?reason.culprit(),
            bytes,
            seconds,
        );
        self.access(&Access { seconds, bytes, ..Access::of(peer, request, 200) });
    }

    /// A request was answered.
    pub(super) fn journal_answer(
        &self,
        peer: SocketAddr,
        request: &Request,
        status: u16,
        bytes: usize,
    ) {
        self.access(&Access { bytes: bytes as u64, ..Access::of(peer, request, status) });
    }
}

impl<'a> Access<'a> {
    fn of(peer: SocketAddr, request: &'a Request, status: u16) -> Self {
        Self {
            address: peer.ip(),
            method: request.method.name(),
            target: &request.target,
            http_minor: request.http_minor(),
            status,
            bytes: 0,
            referrer: &request.referrer,
            agent: &request.agent,
            seconds: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_forge_a_line() {
        let access = Access {
            address: IpAddr::from([192, 0, 2, 1]),
            method: "GET",
            target: "/live",
            http_minor: 1,
            status: 200,
            bytes: 7,
            referrer: "",
            agent: "x\" 200 0 \"-\" \"y\n127.0.0.1",
            seconds: 3,
        };
        let line = access.line();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.starts_with("192.0.2.1 - - ["));
        let rest = line.split_once("] ").expect("a date in brackets").1;
        let agent = r#""x\" 200 0 \"-\" \"y?127.0.0.1""#;
        assert_eq!(rest, format!("\"GET /live HTTP/1.1\" 200 7 \"-\" {agent} 3\n"));
    }
}
