//! Request heads: where one ends in a buffer, and what it says. Takes HTTP/1.0, HTTP/1.1 and the
//! `ICE/1.0` of old encoders, with the line ends encoders really send. It never reads a socket and
//! never decides what a request may do.

use std::borrow::Cow;
use std::fmt;

use crate::base::{CloseReason, limits};

use super::target::Target;
use super::text;

/// Bytes of empty lines tolerated before a request line (RFC 9112, 2.2 asks for at least one line).
/// Beyond it the peer is not speaking HTTP, and the head ends right there as a faulty one.
const LEADING_BLANK_BYTES_MAX: usize = 64;

/// Where the head at the start of `buf` ends: the index after its empty line, or `None` while that
/// line has not come. The first `searched` bytes were looked at before and are not searched again.
///
/// A line ends at LF, with any CRs before it: `\r\n\r\n`, `\n\n`, NSV Cap's `\r\r\n\r\r\n` and
/// mixes of them all end a head, as in Icecast. Empty lines before the request line are part of the
/// head.
pub fn head_end(buf: &[u8], searched: usize) -> Option<usize> {
    let mut from = searched.min(buf.len());
    while let Some(found) = buf[from..].iter().position(|&byte| byte == b'\n') {
        let line_feed = from + found;
        let begun = line_feed >= LEADING_BLANK_BYTES_MAX
            || buf[..line_feed].iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        if begun && is_empty_line(&buf[..line_feed]) {
            return Some(line_feed + 1);
        }
        from = line_feed + 1;
    }
    None
}

/// Whether the last line of `before`, which a line feed follows, holds nothing but CRs.
fn is_empty_line(before: &[u8]) -> bool {
    before.iter().rev().find(|&&byte| byte != b'\r').is_none_or(|&byte| byte == b'\n')
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Listen, or fetch a page.
    Get,
    /// The head of what GET would answer.
    Head,
    /// What may be asked of a target, and CORS preflights.
    Options,
    /// Publish, as libshout, ffmpeg and butt do.
    Put,
    /// Publish, as encoders did before PUT.
    Source,
    /// A form of the admin interface.
    Post,
    /// End a source (Icecast 2.5).
    Delete,
    /// The live statistics feed of Icecast.
    Stats,
}

impl Method {
    /// The method's name on the wire, which is case-sensitive (RFC 9110, 9.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Source => "SOURCE",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Stats => "STATS",
        }
    }

    fn parse(token: &[u8]) -> Option<Self> {
        Some(match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"PUT" => Self::Put,
            b"SOURCE" => Self::Source,
            b"POST" => Self::Post,
            b"DELETE" => Self::Delete,
            b"STATS" => Self::Stats,
            _ => return None,
        })
    }
}

/// The protocol a request line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `HTTP/1.0`.
    Http10,
    /// `HTTP/1.1`, and any later minor version (RFC 9110, 2.5).
    Http11,
    /// `ICE/1.0`, the source protocol of Icecast 1 and 2.0; answered as `HTTP/1.0`.
    Ice10,
}

impl Protocol {
    /// The version a status line answers this protocol with. Clients that say 1.0 or ICE compare
    /// with `HTTP/1.0` (Liquidsoap 1.3 does), so they are never answered with 1.1.
    pub fn answered_as(self) -> &'static str {
        match self {
            Self::Http11 => "HTTP/1.1",
            Self::Http10 | Self::Ice10 => "HTTP/1.0",
        }
    }

    /// The protocol as access logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Ice10 => "ICE/1.0",
        }
    }

    fn parse(token: &[u8]) -> Result<Self, HeadFault> {
        match token {
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
                Ok(Self::Http11)
            }
            [b'I', b'C', b'E', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
                Ok(Self::Ice10)
            }
            _ if token.starts_with(b"HTTP/") || token.starts_with(b"ICE/") => {
                Err(HeadFault::Version)
            }
            _ => Err(HeadFault::Line),
        }
    }
}

/// Why a head was refused. Facts only; [`HeadFault::reason`] leads to log, metric and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadFault {
    /// There is no request line of method, target and protocol.
    Line,
    /// The method is not one of [`Method`].
    Method,
    /// HTTP or ICE of a major version other than 1.
    Version,
    /// A header line is malformed, folded, or has white space before its colon.
    Header,
    /// More header lines than [`limits::HEADER_LINES_MAX`].
    TooManyLines,
    /// The target is not a path, or decodes to one that cannot be.
    Target,
    /// A transfer coding other than `chunked`.
    Coding,
    /// A length that is no number, two that differ, or a length beside `chunked`: two readers of
    /// such a request would disagree on where the next one begins (RFC 9112, 6.3).
    Length,
}

impl HeadFault {
    /// What the connection is closed for.
    pub fn reason(self) -> CloseReason {
        match self {
            Self::Method => CloseReason::BadMethod,
            Self::TooManyLines => CloseReason::HeadTooLarge,
            Self::Coding => CloseReason::BadCoding,
            Self::Line | Self::Version | Self::Header | Self::Target | Self::Length => {
                CloseReason::BadRequest
            }
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        self.reason().status()
    }

    /// The fault in words for the answer's body. `unknown request` is Icecast's own text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Line => "malformed request line",
            Self::Method => "unknown request",
            Self::Version => "unsupported protocol version",
            Self::Header => "malformed header line",
            Self::TooManyLines => "too many header lines",
            Self::Target => "malformed request target",
            Self::Coding => "unsupported transfer coding",
            Self::Length => "contradictory body length",
        }
    }
}

/// How far a request's body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// Chunks, up to the last one: see [`super::chunked`].
    Chunked,
    /// So many bytes.
    Length(u64),
    /// All that comes, as from a live source.
    UntilClose,
}

/// One request head. It borrows the buffer it was parsed from.
pub struct RequestHead<'b> {
    /// What is asked for.
    pub method: Method,
    /// The target as it came: printable UTF-8 without spaces, fit for a log line.
    pub target: &'b str,
    /// The target's path: percent-decoded, dot segments resolved, starting with `/`, without
    /// control characters. `/` for the `*` of OPTIONS.
    pub path: String,
    /// The target's query without its `?`, still encoded: see [`super::query`].
    pub query: Option<&'b str>,
    /// The protocol the request line names.
    pub protocol: Protocol,
    lines: Vec<httparse::Header<'b>>,
}

impl<'b> RequestHead<'b> {
    /// Parses `buf`, which is exactly one head as [`head_end`] measured it. Line ends are
    /// straightened within `buf`, so its bytes are changed. A missing `Host` is no fault, whatever
    /// RFC 9112 says of HTTP/1.1: butt sends none.
    pub fn parse(buf: &'b mut [u8]) -> Result<Self, HeadFault> {
        if head_end(buf, 0) != Some(buf.len()) {
            return Err(HeadFault::Line);
        }
        let straight_bytes = straighten(buf);
        let (head, _) = buf.split_at(straight_bytes);
        let line_end = head.iter().position(|&byte| byte == b'\n').ok_or(HeadFault::Line)?;
        let (method, raw_target, protocol) = request_line(&head[..line_end])?;
        let target = std::str::from_utf8(raw_target).map_err(|_| HeadFault::Target)?;
        if target.chars().any(|character| character == ' ' || character.is_control()) {
            return Err(HeadFault::Target);
        }
        let Target { path, query } = Target::parse(method, target)?;
        let lines = header_lines(&head[line_end + 1..])?;
        Ok(Self { method, target, path, query, protocol, lines })
    }

    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.values(name).next()
    }

    /// That value as text: UTF-8 or else windows-1252, control characters removed, trimmed.
    pub fn text(&self, name: &str) -> Option<Cow<'b, str>> {
        self.header(name).map(|value| text::clean(text::decode(value, None)))
    }

    /// Every header in the order it came.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        self.lines.iter().map(|line| (line.name, line.value))
    }

    /// `Host` if it can be one: letters, digits, dots, hyphens, colons and brackets, so that it may
    /// be repeated in a playlist or a page.
    pub fn host(&self) -> Option<&'b str> {
        let host = std::str::from_utf8(self.header("host")?).ok()?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        (!host.is_empty() && host.len() <= 255 && host.bytes().all(fits)).then_some(host)
    }

    /// Whether the connection may carry another request after this one. HTTP/1.0 has to ask for it,
    /// and gets it not with a transfer coding, which it does not know (RFC 9112, 6.1).
    pub fn keep_alive(&self) -> bool {
        match self.protocol {
            Protocol::Http11 => !self.has_token("connection", "close"),
            Protocol::Http10 => {
                self.has_token("connection", "keep-alive")
                    && !self.has_token("connection", "close")
                    && self.header("transfer-encoding").is_none()
            }
            Protocol::Ice10 => false,
        }
    }

    /// Whether the listener wants metadata between its bytes: `Icy-MetaData` is a number other than
    /// zero by the rules of C's `atoi`, which is what Icecast asks.
    pub fn wants_icy(&self) -> bool {
        let Some(value) = self.header("icy-metadata") else { return false };
        let value = value.trim_ascii_start();
        let digits = value.strip_prefix(b"-").or(value.strip_prefix(b"+")).unwrap_or(value);
        digits.iter().take_while(|byte| byte.is_ascii_digit()).any(|&digit| digit != b'0')
    }

    /// Whether the sender waits for `100 Continue`: a case-insensitive part of `Expect`, as Icecast
    /// looks for it.
    pub fn expects_continue(&self) -> bool {
        const WANTED: &[u8] = b"100-continue";
        self.values("expect").any(|value| {
            value.windows(WANTED.len()).any(|window| window.eq_ignore_ascii_case(WANTED))
        })
    }

    /// How far the body goes (RFC 9112, 6.3). A SOURCE or PUT that names no length is live and goes
    /// on until it closes; any other request without one has no body.
    pub fn body(&self) -> Result<BodyKind, HeadFault> {
        let chunked = self.is_chunked()?;
        let length = self.length()?;
        match (chunked, length) {
            (true, Some(_)) => Err(HeadFault::Length),
            (true, None) => Ok(BodyKind::Chunked),
            (false, Some(bytes)) => Ok(BodyKind::Length(bytes)),
            (false, None) => match self.method {
                Method::Put | Method::Source => Ok(BodyKind::UntilClose),
                _ => Ok(BodyKind::Length(0)),
            },
        }
    }

    fn is_chunked(&self) -> Result<bool, HeadFault> {
        let mut chunked = false;
        for coding in self.tokens("transfer-encoding") {
            if coding.eq_ignore_ascii_case(b"chunked") && !chunked {
                chunked = true;
            } else if !coding.eq_ignore_ascii_case(b"identity") || chunked {
                return Err(HeadFault::Coding);
            }
        }
        Ok(chunked)
    }

    fn length(&self) -> Result<Option<u64>, HeadFault> {
        let mut length = None;
        for value in self.values("content-length").flat_map(|value| value.split(|&b| b == b',')) {
            let bytes = decimal(value.trim_ascii()).ok_or(HeadFault::Length)?;
            if length.is_some_and(|earlier| earlier != bytes) {
                return Err(HeadFault::Length);
            }
            length = Some(bytes);
        }
        Ok(length)
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'b [u8]> + 'a {
        let named = move |line: &&httparse::Header<'b>| line.name.eq_ignore_ascii_case(name);
        self.lines.iter().filter(named).map(|line| line.value)
    }

    /// The members of a comma-separated header, over all its lines; empty ones left out.
    fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'b [u8]> + 'a {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }
}

impl fmt::Debug for RequestHead<'_> {
    /// Names of headers only: their values hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.lines.iter().map(|line| line.name).collect();
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// A number of decimal digits alone; `None` for signs, blanks and what 64 bits cannot hold.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Drops the CRs before every LF and the empty lines before the request line, in place; answers how
/// many bytes are left. A CR inside a line stays, and is refused with the line it stands in.
fn straighten(buf: &mut [u8]) -> usize {
    let mut kept = 0;
    for next in 0..buf.len() {
        let byte = buf[next];
        if byte == b'\n' {
            while kept > 0 && buf[kept - 1] == b'\r' {
                kept -= 1;
            }
            if kept == 0 {
                continue;
            }
        }
        buf[kept] = byte;
        kept += 1;
    }
    kept
}

/// Splits a request line at its first and its last space. httparse is not asked because it knows no
/// protocol but HTTP/1.
fn request_line(line: &[u8]) -> Result<(Method, &[u8], Protocol), HeadFault> {
    let first = line.iter().position(|&byte| byte == b' ').ok_or(HeadFault::Line)?;
    let last = line.iter().rposition(|&byte| byte == b' ').ok_or(HeadFault::Line)?;
    let target = line.get(first + 1..last).ok_or(HeadFault::Line)?.trim_ascii();
    if target.is_empty() {
        return Err(HeadFault::Line);
    }
    let protocol = Protocol::parse(&line[last + 1..])?;
    let method = Method::parse(&line[..first]).ok_or(HeadFault::Method)?;
    Ok((method, target, protocol))
}

fn header_lines(section: &[u8]) -> Result<Vec<httparse::Header<'_>>, HeadFault> {
    let mut places = [httparse::EMPTY_HEADER; limits::HEADER_LINES_MAX];
    match httparse::parse_headers(section, &mut places) {
        Ok(httparse::Status::Complete((_, lines))) => Ok(lines.to_vec()),
        Ok(httparse::Status::Partial) => Err(HeadFault::Header),
        Err(httparse::Error::TooManyHeaders) => Err(HeadFault::TooManyLines),
        Err(_) => Err(HeadFault::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADS: &[&[u8]] = &[
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\n\n",
        b"GET / HTTP/1.0\r\r\n\r\r\n",
        b"GET / HTTP/1.0\r\nA: b\n\r\n",
        b"GET / HTTP/1.0\nA: b\r\n\n",
        b"\r\n\nGET / HTTP/1.0\r\n\r\n",
    ];

    fn with<T>(head: &str, look: impl FnOnce(&RequestHead<'_>) -> T) -> Result<T, HeadFault> {
        let mut buf = head.replace('\n', "\r\n").into_bytes();
        RequestHead::parse(&mut buf).map(|head| look(&head))
    }

    fn fault(head: &str) -> Option<HeadFault> {
        with(head, |_| ()).err()
    }

    #[test]
    fn a_head_ends_at_its_empty_line_whatever_the_line_ends() {
        for &head in HEADS {
            let mut buf = head.to_vec();
            buf.extend_from_slice(b"\xff\xfb audio\r\n\r\n");
            assert_eq!(head_end(&buf, 0), Some(head.len()), "{head:?}");
            assert!(RequestHead::parse(&mut head.to_vec()).is_ok(), "{head:?}");
        }
    }

    #[test]
    fn a_head_cut_at_any_byte_has_no_end_and_does_not_parse() {
        for &head in HEADS {
            for cut in 0..head.len() {
                assert_eq!(head_end(&head[..cut], 0), None, "{head:?} cut at {cut}");
                assert_eq!(
                    RequestHead::parse(&mut head[..cut].to_vec()).err(),
                    Some(HeadFault::Line)
                );
            }
        }
    }

    #[test]
    fn a_flood_of_empty_lines_ends_as_a_faulty_head() {
        let mut flood = vec![b'\n'; 1000];
        let end = head_end(&flood, 0).expect("the flood is cut off");
        assert!(end <= LEADING_BLANK_BYTES_MAX + 1);
        assert_eq!(RequestHead::parse(&mut flood[..end]).err(), Some(HeadFault::Line));
    }

    #[test]
    fn a_request_line_is_method_target_and_protocol() {
        for (line, expected) in [
            ("GET /live?a=b HTTP/1.1", (Method::Get, Protocol::Http11)),
            ("SOURCE /ehr.mp3 ICE/1.0", (Method::Source, Protocol::Ice10)),
            ("PUT  /live  HTTP/1.0", (Method::Put, Protocol::Http10)),
            ("OPTIONS * HTTP/1.7", (Method::Options, Protocol::Http11)),
        ] {
            let seen = with(&format!("{line}\n\n"), |head| (head.method, head.protocol));
            assert_eq!(seen, Ok(expected), "{line}");
        }
        for (line, expected) in [
            ("GET /", HeadFault::Line),
            ("GET  HTTP/1.0", HeadFault::Line),
            ("secret", HeadFault::Line),
            ("one two three", HeadFault::Line),
            ("BREW / HTTP/1.1", HeadFault::Method),
            ("get / HTTP/1.1", HeadFault::Method),
            ("GET / HTTP/2.0", HeadFault::Version),
            ("GET /a b HTTP/1.1", HeadFault::Target),
            ("GET /a\x1bb HTTP/1.1", HeadFault::Target),
            ("GET /a\rb HTTP/1.1", HeadFault::Target),
        ] {
            assert_eq!(fault(&format!("{line}\n\n")), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn header_lines_are_checked_before_they_are_believed() {
        for line in ["no colon", "Name : value", " folded: x", "A: b\n folded", "A: b\rc"] {
            assert_eq!(
                fault(&format!("GET / HTTP/1.1\n{line}\n\n")),
                Some(HeadFault::Header),
                "{line:?}"
            );
        }
        let lines = |count: usize| format!("GET / HTTP/1.1\n{}\n", "A: b\n".repeat(count));
        assert_eq!(with(&lines(64), |head| head.headers().count()), Ok(64));
        assert_eq!(fault(&lines(65)), Some(HeadFault::TooManyLines));
    }

    #[test]
    fn header_values_come_as_bytes_and_as_clean_text() {
        let mut buf =
            b"GET / HTTP/1.1\r\nIce-Name: \tCaf\xe9 \r\r\nIce-Name: second\r\n\r\n".to_vec();
        let head = RequestHead::parse(&mut buf).expect("valid");
        assert_eq!(head.header("ice-name"), Some(&b"Caf\xe9"[..]));
        assert_eq!(head.text("ICE-NAME").as_deref(), Some("Café"));
        assert_eq!(head.text("absent"), None);
    }

    #[test]
    fn only_a_plausible_host_is_repeated() {
        let host = |value: &str| {
            with(&format!("GET / HTTP/1.1\nHost: {value}\n\n"), |h| h.host().is_some())
        };
        assert_eq!(host("[2001:db8::1]:8000"), Ok(true));
        assert_eq!(host("a\"><script>"), Ok(false));
        assert_eq!(host(""), Ok(false));
    }

    #[test]
    fn keep_alive_follows_the_version_and_the_word() {
        for (head, kept) in [
            ("GET / HTTP/1.1\n\n", true),
            ("GET / HTTP/1.1\nConnection: Upgrade, Close\n\n", false),
            ("GET / HTTP/1.0\n\n", false),
            ("GET / HTTP/1.0\nConnection: Keep-Alive\n\n", true),
            ("PUT / HTTP/1.0\nConnection: keep-alive\nTransfer-Encoding: chunked\n\n", false),
            ("GET / ICE/1.0\nConnection: keep-alive\n\n", false),
        ] {
            assert_eq!(with(head, |head| head.keep_alive()), Ok(kept), "{head:?}");
        }
    }

    #[test]
    fn icy_is_wanted_when_atoi_says_so() {
        for (value, wanted) in
            [("1", true), ("0", false), ("", false), (" 01x", true), ("-1", true), ("yes", false)]
        {
            let head = format!("GET / HTTP/1.0\nicy-metadata:{value}\n\n");
            assert_eq!(with(&head, |head| head.wants_icy()), Ok(wanted), "{value:?}");
        }
    }

    #[test]
    fn expect_is_found_in_any_case() {
        let head = "PUT / HTTP/1.1\nExpect: x-100-Continue; y\n\n";
        assert_eq!(with(head, |head| head.expects_continue()), Ok(true));
        assert_eq!(with("PUT / HTTP/1.1\n\n", |head| head.expects_continue()), Ok(false));
    }

    #[test]
    fn a_body_has_one_length_or_none() {
        use BodyKind::{Chunked, Length, UntilClose};
        for (lines, expected) in [
            ("", Ok(UntilClose)),
            ("Content-Length: 0\n", Ok(Length(0))),
            ("Content-Length: 5, 5\nContent-Length: 5\n", Ok(Length(5))),
            ("Transfer-Encoding: Chunked\n", Ok(Chunked)),
            ("Transfer-Encoding: identity\n", Ok(UntilClose)),
            ("Transfer-Encoding: gzip, chunked\n", Err(HeadFault::Coding)),
            ("Transfer-Encoding: chunked, chunked\n", Err(HeadFault::Coding)),
            ("Transfer-Encoding: chunked, identity\n", Err(HeadFault::Coding)),
            ("Content-Length: 5\nTransfer-Encoding: chunked\n", Err(HeadFault::Length)),
            ("Content-Length: 5\nContent-Length: 6\n", Err(HeadFault::Length)),
            ("Content-Length: +5\n", Err(HeadFault::Length)),
            ("Content-Length:\n", Err(HeadFault::Length)),
            ("Content-Length: 18446744073709551616\n", Err(HeadFault::Length)),
        ] {
            let head = format!("PUT /live HTTP/1.1\n{lines}\n");
            assert_eq!(with(&head, |head| head.body()), Ok(expected), "{lines:?}");
        }
        assert_eq!(with("GET / HTTP/1.1\n\n", |head| head.body()), Ok(Ok(Length(0))));
    }

    #[test]
    fn faults_lead_to_their_statuses() {
        let seen = [
            (HeadFault::Line, 400),
            (HeadFault::Method, 405),
            (HeadFault::TooManyLines, 431),
            (HeadFault::Coding, 501),
        ];
        for (fault, status) in seen {
            assert_eq!(fault.status(), status);
        }
    }

    #[test]
    fn a_head_in_a_log_shows_no_password() {
        let shown = with("GET / HTTP/1.1\nAuthorization: Basic c2VjcmV0\n\n", |h| format!("{h:?}"));
        assert_eq!(shown.map(|text| text.contains("c2Vj")), Ok(false));
    }

    proptest! {
        #[test]
        fn one_byte_at_a_time_finds_the_same_end(bytes in "[a\r\n]{0,90}") {
            let bytes = bytes.as_bytes();
            let grown = (1..=bytes.len()).find_map(|end| head_end(&bytes[..end], end - 1));
            prop_assert_eq!(grown, head_end(bytes, 0));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let mut head = b"GET /".to_vec();
            head.extend_from_slice(&bytes);
            head.extend_from_slice(b" HTTP/1.1\r\nA: ");
            head.extend_from_slice(&bytes);
            head.extend_from_slice(b"\r\n\r\n");
            if let Ok(head) = RequestHead::parse(&mut head) {
                prop_assert!(head.path.starts_with('/'));
                let _ = (head.body(), head.keep_alive(), head.wants_icy(), head.host());
            }
        }
    }
}
