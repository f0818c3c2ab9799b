//! What a listener asks for instead of the mount's burst: `?burst=` behind the stream's URL, or the
//! header `X-Floe-Burst`. Says what is asked, not what is granted: the mount has a ceiling.

use std::time::Duration;

use crate::base::{Burst, quantity};

use super::answer::{Answer, TEXT};
use super::http::RequestHead;
use super::query;

/// The header, for programs that cannot change the URL. A web page may send it
/// (see [`super::cors`]).
pub const BURST_HEADER: &str = "X-Floe-Burst";

/// The parameter of the query.
const PARAMETER: &str = "burst";

/// What is asked for is neither a time nor a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstFault;

impl BurstFault {
    /// The refusal. What was sent is not repeated: it is a stranger's.
    pub fn answer(self) -> Answer {
        Answer::new(400, TEXT, CURE)
    }
}

/// What is wrong and how it is written.
const CURE: &str = "burst is neither a time nor a size: write seconds as in ?burst=10, or a unit \
                    as in 500ms, 5s or 64KiB\r\n";

/// The burst a listener's head asks for, if it asks for one; the query wins over the header.
///
/// # Errors
/// What counts of both cannot be read.
pub fn burst_wanted(head: &RequestHead<'_>) -> Result<Option<Burst>, BurstFault> {
    let from_query = head.query.and_then(|query| query::value(query.as_bytes(), PARAMETER));
    let from_query = from_query.as_deref();
    match from_query.or_else(|| head.header(BURST_HEADER)) {
        Some(text) => parse(text).map(Some).ok_or(BurstFault),
        None => Ok(None),
    }
}

/// A bare number counts seconds, as it stands in a URL typed by hand; with a unit it is what it
/// would be in the configuration.
fn parse(text: &[u8]) -> Option<Burst> {
    let text = std::str::from_utf8(text).ok()?.trim();
    // Nothing at all is all digits too, and no number.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs).map(Burst::Time);
    }
    let span = quantity::duration(text).map(Burst::Time);
    span.or_else(|| quantity::size(text).map(Burst::Bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(head: &str) -> Result<Option<Burst>, BurstFault> {
        let mut bytes = head.replace('\n', "\r\n").into_bytes();
        burst_wanted(&RequestHead::parse(&mut bytes).expect("valid"))
    }

    fn of_query(query: &str) -> Result<Option<Burst>, BurstFault> {
        wanted(&format!("GET /live{query} HTTP/1.1\n\n"))
    }

    #[test]
    fn a_bare_number_is_seconds_and_a_unit_says_what_it_is() {
        let seconds = |count| Ok(Some(Burst::Time(Duration::from_secs(count))));
        assert_eq!(of_query(""), Ok(None));
        assert_eq!(of_query("?bursts=5"), Ok(None));
        assert_eq!(of_query("?a=b&burst=10"), seconds(10));
        assert_eq!(of_query("?burst=0"), seconds(0));
        assert_eq!(of_query("?burst=5s"), seconds(5));
        assert_eq!(of_query("?burst=1m&burst=2m"), seconds(60));
        assert_eq!(of_query("?burst=+7%20"), seconds(7));
        let half = Burst::Time(Duration::from_millis(500));
        assert_eq!(of_query("?burst=500ms"), Ok(Some(half)));
        assert_eq!(of_query("?burst=64KiB"), Ok(Some(Burst::Bytes(65_536))));
        assert_eq!(of_query("?burst=64KB"), Ok(Some(Burst::Bytes(64_000))));
    }

    #[test]
    fn what_is_neither_is_refused_with_the_cure() {
        for query in ["", "x", "-5", "5.5", "5 s", "64kb", "%ff", "99999999999999999999", "1h30m"] {
            let query = format!("?burst={}", query.replace(' ', "%20"));
            assert_eq!(of_query(&query), Err(BurstFault), "{query}");
        }
        let answer = BurstFault.answer();
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8(answer.body).is_ok_and(|text| text.contains("?burst=10")));
    }

    #[test]
    fn the_query_wins_over_the_header() {
        let head = "GET /live?burst=2 HTTP/1.1\nX-Floe-Burst: 9\n\n";
        assert_eq!(wanted(head), Ok(Some(Burst::Time(Duration::from_secs(2)))));
        let head = "GET /live HTTP/1.1\nx-floe-burst:  64KiB \n\n";
        assert_eq!(wanted(head), Ok(Some(Burst::Bytes(65_536))));
        assert_eq!(wanted("GET /live HTTP/1.1\nX-Floe-Burst: much\n\n"), Err(BurstFault));
        let head = "GET /live?burst=1 HTTP/1.1\nX-Floe-Burst: much\n\n";
        assert_eq!(wanted(head), Ok(Some(Burst::Time(Duration::from_secs(1)))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "[0-9]{0,22}[a-zA-Z]{0,4}") {
            let _ = parse(&bytes);
            if let Some(Burst::Time(span)) = parse(text.as_bytes()) {
                prop_assert!(text.starts_with(|digit: char| digit.is_ascii_digit()), "{span:?}");
            }
        }
    }
}
