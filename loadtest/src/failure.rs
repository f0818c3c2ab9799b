//! Why a listener or a source ended before it should. The label is the key in results.

use crate::listener::Phase;
use rustix::io::Errno;

/// What went wrong with one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server's host answered that nobody listens.
    Refused,
    /// The connection was reset.
    Reset,
    /// The server closed the connection in order.
    Closed,
    /// No audio within the listener's patience.
    TimedOut,
    /// This process or machine has no descriptor left.
    NoDescriptor,
    /// The source address has no free port, or is none of this machine's.
    NoSourcePort,
    /// The server answered with this status.
    Status(u16),
    /// The answer was no HTTP or ICY response head.
    HeadMalformed,
    /// The body is chunked, although the request was HTTP/1.0.
    Chunked,
    /// The server takes bytes more slowly than the source makes them.
    Stuck,
    /// Any other error of a system call.
    Other(Errno),
}

impl Failure {
    /// The kind, with what had been reached when it struck.
    pub fn label(self, phase: Phase) -> String {
        let kind = match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::TimedOut => "timed_out",
            Self::NoDescriptor => return "no_descriptor".into(),
            Self::NoSourcePort => return "no_source_port".into(),
            Self::Status(status) => return format!("status_{status}"),
            Self::HeadMalformed => return "head_malformed".into(),
            Self::Chunked => return "chunked_to_http_1_0".into(),
            Self::Stuck => return "stuck".into(),
            Self::Other(errno) => return format!("errno_{}", errno.raw_os_error()),
        };
        match phase {
            Phase::Connecting => format!("{kind}_connecting"),
            Phase::AwaitingHead => format!("{kind}_before_head"),
            Phase::AwaitingAudio => format!("{kind}_before_audio"),
            Phase::Away | Phase::Flowing | Phase::Withholding | Phase::Ended => kind.into(),
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::CONNREFUSED => Self::Refused,
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => Self::Reset,
            Errno::TIMEDOUT => Self::TimedOut,
            Errno::MFILE | Errno::NFILE => Self::NoDescriptor,
            Errno::ADDRINUSE | Errno::ADDRNOTAVAIL => Self::NoSourcePort,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_how_far_the_connection_came() {
        assert_eq!(
            Failure::from(Errno::CONNREFUSED).label(Phase::Connecting),
            "refused_connecting"
        );
        assert_eq!(Failure::Closed.label(Phase::AwaitingHead), "closed_before_head");
        assert_eq!(Failure::from(Errno::PIPE).label(Phase::Flowing), "reset");
        assert_eq!(Failure::Status(404).label(Phase::AwaitingHead), "status_404");
        assert_eq!(Failure::from(Errno::NOBUFS).label(Phase::Connecting), "errno_105");
    }
}
