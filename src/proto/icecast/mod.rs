//! What the Icecast family adds to HTTP: answers to sources, refusals in Icecast 2.4's words,
//! stream heads, options and the admin interface's XML. Clients match on these bytes; each rule
//! names the server or client it comes from.

mod admin;
mod refusal;
mod source;
mod stream;

pub use admin::{AdminFault, AdminReply};
pub use refusal::{DEFAULT_REALM, RefusalContext, refusal};
pub use source::{AudioInfo, Handshake, Measured, SourceHeaders};
pub use stream::{
    LIVE_BYTES_PRETENDED, LiveRange, StreamHeadParts, StreamLines, StreamNames, stream_head,
};

use super::answer::Answer;
use super::cors::preflight_headers;
use super::http::RequestHead;

/// The `Server` line and `server_id`. It starts as Icecast's does, because players look: VLC paces
/// and reconnects as for live streams only when it sees that word.
pub const SERVER_ID: &str = concat!("Icecast 2.4.4 (Floe ", env!("CARGO_PKG_VERSION"), ")");

/// What a request points at, as far as it decides which methods may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A path no source holds, or the server as a whole (`*`).
    FreeMount,
    /// A mount with a source.
    LiveMount,
    /// The admin interface.
    Admin,
    /// Pages and documents.
    Page,
}

impl Place {
    /// The `Allow` line: Icecast 2.5's lists, and HEAD, which it lacks. libshout chooses between
    /// PUT and SOURCE by what it reads here.
    pub fn allow(self) -> &'static str {
        match self {
            Self::FreeMount => "GET, HEAD, PUT, OPTIONS, SOURCE",
            Self::LiveMount => "GET, HEAD, PUT, DELETE, OPTIONS, SOURCE",
            Self::Admin => "GET, HEAD, OPTIONS",
            Self::Page => "GET, HEAD, OPTIONS",
        }
    }
}

/// The answer to OPTIONS: what is allowed here, and for a preflight of a browser what a page may
/// send. Whether the page may at all is the grant's to say, in the answer's context.
pub fn options(head: &RequestHead<'_>, place: Place) -> Answer {
    let mut answer = Answer::empty(204).with("Allow", place.allow());
    let preflight = head.header("access-control-request-method").is_some();
    if preflight && head.header("origin").is_some() {
        for (name, value) in preflight_headers() {
            answer = answer.with(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(head: &[u8], place: Place) -> Answer {
        let mut head = head.to_vec();
        options(&RequestHead::parse(&mut head).expect("valid"), place)
    }

    #[test]
    fn options_name_what_is_allowed() {
        let answer = answer(b"OPTIONS * HTTP/1.1\r\n\r\n", Place::FreeMount);
        assert_eq!(answer.status, 204);
        assert_eq!(answer.headers, [("Allow".into(), "GET, HEAD, PUT, OPTIONS, SOURCE".into())]);
    }

    #[test]
    fn a_preflight_is_told_which_headers_it_may_send() {
        let head = b"OPTIONS /live HTTP/1.1\r\nOrigin: https://a.example\r\n\
                     Access-Control-Request-Method: GET\r\n\r\n";
        let answer = answer(head, Place::LiveMount);
        assert!(answer.headers.iter().any(|(_, value)| value.contains("Icy-MetaData")));
    }

    #[test]
    fn the_server_line_starts_as_players_expect() {
        assert!(SERVER_ID.starts_with("Icecast 2.4.4 (Floe "));
    }
}
