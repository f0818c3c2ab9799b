//! Why a session ended and whose doing it was. One closed enum: the access log, the counters and
//! the HTTP status all derive from it, so a new way to end cannot be forgotten in one of them.

/// Whose doing an end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The client at the other end of this socket.
    Peer,
    /// The source (or, for relays, the origin) whose stream this is.
    Upstream,
    /// This server, by its own limits or the machine's.
    Us,
    /// A person: configuration, admin command, signal.
    Operator,
}

macro_rules! close_reasons {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $culprit:ident, $status:literal;)*) => {
        /// Why a session (a listener, a source, a request) ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum CloseReason { $($(#[$doc])* $variant,)* }

        impl CloseReason {
            /// Every reason, in order of declaration: what counters are indexed by.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The reason's name in logs and metrics.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// Whose doing it was.
            pub fn culprit(self) -> Culprit {
                match self { $(Self::$variant => Culprit::$culprit,)* }
            }

            /// The status a request gets when it is refused for this reason before a stream began;
            /// 200 where the answer was already on its way. Icecast 2.4 answers 403 for most.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

close_reasons! {
    /// The peer closed its side in order.
    PeerLeft = "peer_left", Peer, 200;
    /// The peer's socket broke: reset, timed out, unreachable.
    PeerBroke = "peer_broke", Peer, 200;
    /// The listener fell behind further than `lag_bytes` and the mount's policy is `drop`.
    TooSlow = "too_slow", Peer, 200;
    /// The listener took not one byte for as long as `stall_timeout`.
    Stalled = "stalled", Peer, 200;
    /// The request head did not arrive within `header_timeout`.
    HeadTimeout = "head_timeout", Peer, 408;
    /// The request head was larger than `header_bytes` or had too many lines.
    HeadTooLarge = "head_too_large", Peer, 431;
    /// The request head was not HTTP or ICE.
    BadRequest = "bad_request", Peer, 400;
    /// The method is not one this server knows.
    BadMethod = "bad_method", Peer, 405;
    /// The body's chunk framing was wrong.
    BadBody = "bad_body", Peer, 400;
    /// The body uses a transfer coding that is not `chunked`.
    BadCoding = "bad_coding", Peer, 501;
    /// No credentials, or wrong ones.
    Unauthorized = "unauthorized", Peer, 401;
    /// Too many wrong passwords from this address are waiting to be checked.
    TooManyAttempts = "too_many_attempts", Peer, 429;
    /// The address is not allowed on this mount.
    AddressDenied = "address_denied", Operator, 403;
    /// No such mount or page.
    NotFound = "not_found", Peer, 404;
    /// The mount path is not one a source may use.
    BadMount = "bad_mount", Peer, 403;
    /// A PUT without a content type.
    NoContentType = "no_content_type", Peer, 403;
    /// Another source holds the mount.
    MountInUse = "mount_in_use", Peer, 403;
    /// The server's `sources` limit is reached.
    TooManySources = "too_many_sources", Us, 403;
    /// The server's `listeners` limit is reached.
    TooManyListeners = "too_many_listeners", Us, 403;
    /// The mount's `max_listeners` is reached.
    MountFull = "mount_full", Us, 403;
    /// The address has reached `listeners_per_address`.
    AddressFull = "address_full", Us, 403;
    /// The address opens connections faster than `new_connections_per_second_per_address`.
    AddressTooFast = "address_too_fast", Us, 429;
    /// The core is out of file descriptors, memory or places for pending requests.
    OutOfResources = "out_of_resources", Us, 503;
    /// The listener's `max_listener_duration` is over.
    DurationOver = "duration_over", Operator, 200;
    /// The source sent nothing for `source_timeout`.
    SourceSilent = "source_silent", Peer, 200;
    /// Another source took the mount over.
    TakenOver = "taken_over", Operator, 200;
    /// The source ended and `linger` passed without its return.
    SourceGone = "source_gone", Upstream, 200;
    /// The stream changed in a way that held listeners cannot decode, or the mount's `on_change`
    /// lets them go.
    FormatChanged = "format_changed", Upstream, 200;
    /// The source sends what no listener could be served: the log names the cure.
    Unplayable = "unplayable", Peer, 200;
    /// A title that the mount, or what its stream consists of, does not let into the stream.
    TitleRefused = "title_refused", Peer, 200;
    /// An administrator ended it.
    Killed = "killed", Operator, 200;
    /// The server is shutting down.
    Draining = "draining", Operator, 503;
    /// A broken promise of our own inside one session; the session wall caught it.
    Fault = "fault", Us, 500;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_unique_and_fit_a_metric_label() {
        let labels: HashSet<_> = CloseReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), CloseReason::ALL.len());
        for label in labels {
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        }
    }

    #[test]
    fn discriminants_index_the_table_of_all_reasons() {
        for (index, reason) in CloseReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
