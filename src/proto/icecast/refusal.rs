//! Refusals: a close reason as the answer Icecast 2.4 would give. The status is the reason's own;
//! this file adds the words and the headers. Old encoders act on the words: butt retries only after
//! a 403, and scripts look for `Mountpoint in use`.

use crate::base::CloseReason;

use super::super::answer::{Answer, HTML, TEXT};
use super::super::http::HeadFault;
use super::super::text::escape_markup;
use super::Place;

/// The realm of Icecast 2.4's challenges; encoders keep passwords under it.
pub const DEFAULT_REALM: &str = "Icecast2 Server";

/// What a refusal says besides its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalContext<'a> {
    /// The realm of a 401's challenge.
    pub realm: &'a str,
    /// Where the request pointed: the `Allow` line of a 405.
    pub place: Place,
    /// Seconds of the `Retry-After` line of a 429 or 503.
    pub retry_after_s: u32,
}

impl Default for RefusalContext<'_> {
    /// Icecast's realm, and 5 seconds: long enough to break the step of a crowd that comes back at
    /// once after a restart, short enough that nobody reaches for the dial.
    fn default() -> Self {
        Self { realm: DEFAULT_REALM, place: Place::Page, retry_after_s: 5 }
    }
}

/// The answer to a request that is refused for `reason`. Reasons that end sessions already under
/// way have no answer of their own; for a request that meets one the server is busy.
pub fn refusal(reason: CloseReason, context: &RefusalContext<'_>) -> Answer {
    let status = match reason.status() {
        200 => 503,
        status => status,
    };
    dressed(status, words(reason), context)
}

impl HeadFault {
    /// The answer to a head with this fault. What it was asking for is unknown, so it goes out as
    /// HTTP/1.0 and closes the connection.
    pub fn answer(self) -> Answer {
        dressed(self.status(), self.text(), &RefusalContext::default())
    }
}

/// An error as the page Icecast 2.4 makes of it.
pub(super) fn error_page(status: u16, text: &str) -> Answer {
    let text = escape_markup(text);
    let body = format!(
        "<html><head><title>Error {status}</title></head>\
         <body><b>{status} - {text}</b></body></html>\r\n"
    );
    Answer::new(status, HTML, body)
}

fn dressed(status: u16, text: &str, context: &RefusalContext<'_>) -> Answer {
    match status {
        400 | 404 => error_page(status, text),
        401 => {
            let realm: String = context
                .realm
                .chars()
                .filter(|character| !matches!(character, '"' | '\\') && !character.is_control())
                .collect();
            Answer::new(401, TEXT, format!("{text}\r\n"))
                .with("WWW-Authenticate", format!("Basic realm=\"{realm}\""))
        }
        405 => error_page(405, text).with("Allow", context.place.allow()),
        429 | 503 => {
            Answer::new(status, TEXT, text).with("Retry-After", context.retry_after_s.to_string())
        }
        500 => {
            let body = format!("500 - Internal Server Error\n---------------------------\n{text}");
            Answer::new(500, TEXT, body)
        }
        _ => Answer::new(status, TEXT, text),
    }
}

/// Icecast 2.4's words where it has some.
fn words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::HeadTimeout => "Request header did not arrive in time",
        CloseReason::HeadTooLarge => "Request header too large",
        CloseReason::BadRequest => "Bad request",
        CloseReason::BadMethod => "unknown request",
        CloseReason::BadBody => "Bad request body",
        CloseReason::BadCoding => "Transfer coding not supported",
        CloseReason::Unauthorized => "You need to authenticate",
        CloseReason::TooManyAttempts => "Too many attempts, please try again later",
        CloseReason::AddressDenied => "Access denied",
        CloseReason::NotFound | CloseReason::SourceGone => {
            "The file you requested could not be found"
        }
        CloseReason::BadMount => "mountpoint unavailable",
        CloseReason::NoContentType => "No Content-type given",
        CloseReason::MountInUse => "Mountpoint in use",
        CloseReason::TooManySources => "too many sources connected",
        CloseReason::TooManyListeners => "Icecast connection limit reached",
        CloseReason::MountFull => "max listeners reached",
        CloseReason::AddressFull => "Too many connections from this address",
        CloseReason::AddressTooFast => "Too many new connections from this address",
        CloseReason::TitleRefused => "Mountpoint will not accept URL updates",
        CloseReason::Draining => "Server is shutting down",
        CloseReason::Fault => "Internal error",
        CloseReason::OutOfResources
        | CloseReason::PeerLeft
        | CloseReason::PeerBroke
        | CloseReason::TooSlow
        | CloseReason::Stalled
        | CloseReason::DurationOver
        | CloseReason::SourceSilent
        | CloseReason::TakenOver
        | CloseReason::FormatChanged
        | CloseReason::Unplayable
        | CloseReason::Killed => "busy, please try again later",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: CloseReason) -> (u16, String) {
        let answer = refusal(reason, &RefusalContext::default());
        (answer.status, String::from_utf8(answer.body).expect("UTF-8"))
    }

    #[test]
    fn refusals_speak_icecasts_words() {
        for (reason, status, body) in [
            (CloseReason::MountInUse, 403, "Mountpoint in use"),
            (CloseReason::TooManySources, 403, "too many sources connected"),
            (CloseReason::NoContentType, 403, "No Content-type given"),
            (CloseReason::TooManyListeners, 403, "Icecast connection limit reached"),
            (CloseReason::MountFull, 403, "max listeners reached"),
            (CloseReason::Unauthorized, 401, "You need to authenticate\r\n"),
            (CloseReason::OutOfResources, 503, "busy, please try again later"),
            (
                CloseReason::NotFound,
                404,
                "<html><head><title>Error 404</title></head><body><b>404 - The file you requested \
                 could not be found</b></body></html>\r\n",
            ),
        ] {
            assert_eq!(refused(reason), (status, body.to_owned()), "{reason:?}");
        }
    }

    #[test]
    fn every_reason_has_an_answer_that_refuses() {
        for &reason in CloseReason::ALL {
            let (status, body) = refused(reason);
            assert!(status >= 400 && !body.is_empty(), "{reason:?}");
        }
    }

    #[test]
    fn challenges_retries_and_methods_carry_their_header() {
        let context = RefusalContext { realm: "a\"b\r\nc", ..RefusalContext::default() };
        let header = |reason| refusal(reason, &context).headers.pop().expect("a header");
        let named = |name: &'static str, value: &str| (name.into(), value.to_owned());
        assert_eq!(
            header(CloseReason::Unauthorized),
            named("WWW-Authenticate", "Basic realm=\"abc\"")
        );
        assert_eq!(header(CloseReason::Draining), named("Retry-After", "5"));
        assert_eq!(header(CloseReason::BadMethod), named("Allow", "GET, HEAD, OPTIONS"));
    }

    #[test]
    fn a_faulty_head_is_told_what_is_wrong() {
        let answer = HeadFault::TooManyLines.answer();
        assert_eq!((answer.status, &answer.body[..]), (431, &b"too many header lines"[..]));
        assert_eq!(HeadFault::Method.answer().status, 405);
    }
}
