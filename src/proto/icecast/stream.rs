//! The head of a listener's answer. A source's headers are rewritten once, when it begins; what is
//! left for each listener is to join a few strings.

use crate::base::WallTime;

use super::super::answer::{write_header, write_icy_header, write_no_cache, write_start};
use super::super::cors::CorsGrant;
use super::super::http::{Protocol, RequestHead};
use super::source::{SourceHeaders, number};

/// The length a live stream pretends to have towards a range probe, as icecast-kh does.
pub const LIVE_BYTES_PRETENDED: u64 = (1 << 30) - 1;

/// What of a live stream a request's `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiveRange {
    /// All of it: there is no range, or one that reaches to the end of what has none.
    Whole,
    /// A few bytes, after which the connection closes. Safari and iOS ask for `bytes=0-1` first,
    /// and do not play a stream that answers 200.
    Probe {
        /// The first byte asked for.
        first: u64,
        /// The last byte asked for; smaller than [`LIVE_BYTES_PRETENDED`] - 1.
        last: u64,
    },
}

impl LiveRange {
    /// Reads a head's `Range`. HTTP/1.0 has none (RFC 9110, 14.2 lets a server ignore it). A range
    /// that cannot be read or asks for several parts is ignored as well.
    pub fn of(head: &RequestHead<'_>) -> Self {
        match head.header("range") {
            Some(value) if head.protocol == Protocol::Http11 => Self::parse(value),
            _ => Self::Whole,
        }
    }

    /// Bytes to send before closing; `None` for all.
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Whole => None,
            Self::Probe { first, last } => Some(last - first + 1),
        }
    }

    fn parse(value: &[u8]) -> Self {
        let bounds = || {
            let value = std::str::from_utf8(value).ok()?;
            let (unit, range) = value.split_once('=')?;
            let (first, last) = range.split_once('-')?;
            let position = |digits: &str| {
                let digits = digits.trim();
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                digits.parse::<u64>().ok().filter(|_| plain)
            };
            unit.trim().eq_ignore_ascii_case("bytes").then_some(())?;
            Some((position(first)?, position(last)?))
        };
        match bounds() {
            Some((first, last)) if first <= last && last < LIVE_BYTES_PRETENDED - 1 => {
                Self::Probe { first, last }
            }
            _ => Self::Whole,
        }
    }
}

/// What the mount's configuration says about a stream; it wins over the source's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamNames<'a> {
    /// The stream's name.
    pub name: Option<&'a str>,
    /// Its description.
    pub description: Option<&'a str>,
    /// Its genre.
    pub genre: Option<&'a str>,
    /// The station's page.
    pub url: Option<&'a str>,
    /// Whether directories may list it.
    pub public: Option<bool>,
}

/// The lines of a listener's head that describe the stream, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamLines(Vec<u8>);

impl StreamLines {
    /// Rewrites a source's headers by the rules of Icecast 2.4 (`format_prepare_headers`), in the
    /// order of their names: `ice-x` becomes `icy-x`, `ice-public` `icy-pub`, `ice-bitrate`
    /// `icy-br`; the bitrate within `ice-audio-info` becomes a further `icy-br` before the header
    /// itself, which stays for relays. No space follows the colon, except in `ice-audio-info`.
    pub fn rewrite(source: &SourceHeaders, names: &StreamNames<'_>) -> Self {
        let public = names.public.or(source.public);
        let public = public.map(|public| if public { "1" } else { "0" });
        let mut lines: Vec<(&str, &str)> = [
            (AUDIO_INFO, source.audio_info.as_deref()),
            ("bitrate", source.bitrate.as_deref()),
            ("description", names.description.or(source.description.as_deref())),
            ("genre", names.genre.or(source.genre.as_deref())),
            ("name", names.name.or(source.name.as_deref())),
            ("public", public),
            ("url", names.url.or(source.url.as_deref())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .chain(source.others.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .collect();
        lines.sort_by_key(|&(name, _)| name);
        let mut out = Vec::new();
        for (name, value) in lines {
            match name {
                AUDIO_INFO => write_audio_info(&mut out, value),
                "bitrate" => write_icy_header(&mut out, "icy-br", value),
                "public" => write_icy_header(&mut out, "icy-pub", value),
                other => write_icy_header(&mut out, &format!("icy-{other}"), value),
            }
        }
        Self(out)
    }
}

/// The one header that keeps its `ice-` name, here without it.
const AUDIO_INFO: &str = "audio-info";

fn write_audio_info(out: &mut Vec<u8>, value: &str) {
    let bitrate = value.split_once("bitrate=").and_then(|(_, after)| number(after));
    if let Some(bitrate) = bitrate {
        write_icy_header(out, "icy-br", &bitrate.to_string());
    }
    write_header(out, "ice-audio-info", value);
}

/// What a listener's head is made of, beside the request's own wishes.
#[derive(Clone, Copy, Debug)]
pub struct StreamHeadParts<'a> {
    /// The `Server` line: see [`super::SERVER_ID`].
    pub server: &'a str,
    /// The `Date` line.
    pub date: WallTime,
    /// The stream's content type.
    pub content_type: &'a str,
    /// The source's headers, rewritten.
    pub stream: &'a StreamLines,
    /// The headers configured for the mount.
    pub headers: &'a [(String, String)],
    /// The origin that may read the stream, if the listener is a page of another site.
    pub cors: Option<CorsGrant<'a>>,
}

/// The head of a stream in Icecast 2.4's order of lines. `icy_interval` is the bytes between
/// metadata blocks if the listener asked for them and the mount has them.
///
/// The version is the request's, as icecast-kh has it, except that a listener with metadata is
/// always answered with HTTP/1.0: such bytes are no HTTP/1.1 content, and old players check. A
/// probe gets no metadata, since it ends before the first block.
pub fn stream_head(
    parts: &StreamHeadParts<'_>,
    protocol: Protocol,
    icy_interval: Option<u32>,
    range: LiveRange,
) -> Vec<u8> {
    let icy_interval = icy_interval.filter(|_| range == LiveRange::Whole);
    let (status, version) = match (range, icy_interval) {
        (LiveRange::Probe { .. }, _) => (206, protocol.answered_as()),
        (LiveRange::Whole, None) => (200, protocol.answered_as()),
        (LiveRange::Whole, Some(_)) => (200, Protocol::Http10.answered_as()),
    };
    let mut out = Vec::with_capacity(1024 + parts.stream.0.len());
    write_start(&mut out, version, status, parts.server, "Close", parts.date);
    write_header(&mut out, "Content-Type", parts.content_type);
    if let LiveRange::Probe { first, last } = range {
        write_header(&mut out, "Content-Length", &(last - first + 1).to_string());
        write_header(&mut out, "Accept-Ranges", "bytes");
        let value = format!("bytes {first}-{last}/{LIVE_BYTES_PRETENDED}");
        write_header(&mut out, "Content-Range", &value);
    }
    write_no_cache(&mut out);
    for (name, value) in parts.headers {
        write_header(&mut out, name, value);
    }
    if let Some(grant) = parts.cors {
        grant.write(&mut out);
    }
    out.extend_from_slice(&parts.stream.0);
    if let Some(interval) = icy_interval {
        write_icy_header(&mut out, "icy-metaint", &interval.to_string());
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(lines: &str) -> SourceHeaders {
        let mut head = format!("PUT /live HTTP/1.1\n{lines}\n").replace('\n', "\r\n").into_bytes();
        SourceHeaders::from_head(&RequestHead::parse(&mut head).expect("valid"))
    }

    fn rewritten(lines: &str, names: &StreamNames<'_>) -> String {
        String::from_utf8(StreamLines::rewrite(&source(lines), names).0).expect("UTF-8")
    }

    fn head(protocol: Protocol, icy_interval: Option<u32>, range: LiveRange) -> String {
        let stream = StreamLines::rewrite(&source("ice-name: A\n"), &StreamNames::default());
        let parts = StreamHeadParts {
            server: "Icecast 2.4.4",
            date: WallTime(784_111_777),
            content_type: "audio/mpeg",
            stream: &stream,
            headers: &[("X-Mine".to_owned(), "yes".to_owned())],
            cors: CorsGrant::decide(None, &["*"]),
        };
        String::from_utf8(stream_head(&parts, protocol, icy_interval, range)).expect("UTF-8")
    }

    #[test]
    fn headers_are_rewritten_as_icecast_rewrites_them() {
        let lines = "ice-url: http://a\nice-public: 1\nice-name: N\nice-irc: #a\n\
                     ice-audio-info: ice-bitrate=128;ice-channels=2\nice-bitrate: 128\nicy-x: y\n";
        assert_eq!(
            rewritten(lines, &StreamNames::default()),
            "icy-br:128\r\nice-audio-info: ice-bitrate=128;ice-channels=2\r\nicy-br:128\r\n\
             icy-irc:#a\r\nicy-name:N\r\nicy-pub:1\r\nicy-url:http://a\r\nicy-x:y\r\n"
        );
    }

    #[test]
    fn the_mounts_own_words_win_and_appear_once() {
        let names = StreamNames {
            name: Some("Mine\r\nSet-Cookie: x"),
            public: Some(false),
            ..StreamNames::default()
        };
        assert_eq!(
            rewritten("ice-name: A\nicy-name: B\nice-genre: C\n", &names),
            "icy-genre:C\r\nicy-name:MineSet-Cookie: x\r\nicy-pub:0\r\n"
        );
    }

    #[test]
    fn a_stream_head_is_icecasts() {
        assert_eq!(
            head(Protocol::Http11, Some(16_000), LiveRange::Whole),
            "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nConnection: Close\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: audio/mpeg\r\n\
             Cache-Control: no-cache, no-store\r\nExpires: Mon, 26 Jul 1997 05:00:00 GMT\r\n\
             Pragma: no-cache\r\nX-Mine: yes\r\nicy-name:A\r\nicy-metaint:16000\r\n\r\n"
        );
        assert!(head(Protocol::Http11, None, LiveRange::Whole).starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(head(Protocol::Ice10, None, LiveRange::Whole).starts_with("HTTP/1.0 200 OK\r\n"));
    }

    #[test]
    fn a_probe_is_answered_with_a_part_and_no_metadata() {
        let probe = LiveRange::Probe { first: 0, last: 1 };
        let head = head(Protocol::Http11, Some(16_000), probe);
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"));
        assert!(head.contains("Content-Range: bytes 0-1/1073741823\r\n"));
        assert!(head.contains("Content-Length: 2\r\n") && !head.contains("metaint"));
        assert_eq!(probe.bytes(), Some(2));
    }

    #[test]
    fn only_a_range_with_an_end_is_a_probe() {
        let probe = |first, last| LiveRange::Probe { first, last };
        for (value, expected) in [
            ("bytes=0-1", probe(0, 1)),
            ("Bytes = 5 - 9", probe(5, 9)),
            ("bytes=0-", LiveRange::Whole),
            ("bytes=-5", LiveRange::Whole),
            ("bytes=2-1", LiveRange::Whole),
            ("bytes=0-1073741822", LiveRange::Whole),
            ("bytes=0-1,4-5", LiveRange::Whole),
            ("bytes=+0-1", LiveRange::Whole),
            ("items=0-1", LiveRange::Whole),
            ("bytes=0-18446744073709551616", LiveRange::Whole),
        ] {
            assert_eq!(LiveRange::parse(value.as_bytes()), expected, "{value}");
        }
        let mut head = b"GET / HTTP/1.0\r\nRange: bytes=0-1\r\n\r\n".to_vec();
        assert_eq!(LiveRange::of(&RequestHead::parse(&mut head).expect("valid")), LiveRange::Whole);
    }

    proptest! {
        #[test]
        fn a_range_never_asks_for_less_than_a_byte(value in "bytes=[0-9]{0,21}-[0-9]{0,21}") {
            if let Some(bytes) = LiveRange::parse(value.as_bytes()).bytes() {
                prop_assert!((1..LIVE_BYTES_PRETENDED).contains(&bytes));
            }
        }
    }
}
