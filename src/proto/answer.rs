//! Response heads and bodies of everything that is not a stream. It writes bytes into memory; who
//! sends them, and what may be answered to whom, is decided elsewhere.

use std::borrow::Cow;

use crate::base::WallTime;

use super::cors::CorsGrant;
use super::http::Protocol;

/// Content type of plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Content type of pages.
pub const HTML: &str = "text/html; charset=utf-8";
/// Content type of Icecast's XML answers.
pub const XML: &str = "text/xml; charset=utf-8";
/// Content type of JSON, spelled as Icecast spells it.
pub const JSON: &str = "application/json; charset=UTF-8";

/// What a page of this server may load and do: its own files and inline styles, nothing foreign, no
/// inline script, and no frame on another site. A name with markup in it, should one ever get past
/// the escaping, still cannot run.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; base-uri 'none'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'self'; img-src 'self' data:; media-src 'self'; \
     script-src 'self'; style-src 'self' 'unsafe-inline'";

/// What Icecast writes so that no cache keeps a page of numbers.
const NO_CACHE: &str = "Cache-Control: no-cache, no-store\r\n\
     Expires: Mon, 26 Jul 1997 05:00:00 GMT\r\nPragma: no-cache\r\n";

/// One answer, before it is known over which protocol it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body's type; empty for no body.
    pub content_type: Cow<'static, str>,
    /// The body, whole.
    pub body: Vec<u8>,
    /// Further headers, in order. Names and values that cannot stand in a head are left out or
    /// cleaned when written.
    pub headers: Vec<(Cow<'static, str>, String)>,
}

/// What an answer is written for.
#[derive(Clone, Copy, Debug)]
pub struct AnswerContext<'a> {
    /// The request's protocol; 1.0 is answered with 1.0.
    pub protocol: Protocol,
    /// The `Server` line: see [`super::icecast::SERVER_ID`].
    pub server: &'a str,
    /// The `Date` line.
    pub date: WallTime,
    /// Whether the connection stays open for another request.
    pub keep_alive: bool,
    /// Whether the request was HEAD: the same head, and no body.
    pub head_only: bool,
    /// The origin that may read the answer, if the request came from another site.
    pub cors: Option<CorsGrant<'a>>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(
        status: u16,
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let (content_type, body) = (content_type.into(), body.into());
        Self { status, content_type, body, headers: Vec::new() }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self::new(status, "", Vec::new())
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The whole answer as bytes, in Icecast's order of lines.
    pub fn to_bytes(&self, context: &AnswerContext<'_>) -> Vec<u8> {
        let body_bytes = if context.head_only { 0 } else { self.body.len() };
        let mut out = Vec::with_capacity(body_bytes + 1024);
        let version = context.protocol.answered_as();
        let connection = if context.keep_alive { "Keep-Alive" } else { "Close" };
        write_start(&mut out, version, self.status, context.server, connection, context.date);
        if !self.content_type.is_empty() {
            write_header(&mut out, "Content-Type", &self.content_type);
        }
        // A 204 must not name a length (RFC 9110, 8.6); for everything else it is what lets a
        // connection be used again.
        if self.status != 204 {
            write_header(&mut out, "Content-Length", &self.body.len().to_string());
        }
        if !self.has("Cache-Control") {
            out.extend_from_slice(NO_CACHE.as_bytes());
        }
        write_header(&mut out, "X-Content-Type-Options", "nosniff");
        if self.content_type.starts_with("text/html") {
            write_header(&mut out, "Referrer-Policy", "same-origin");
            if !self.has("Content-Security-Policy") {
                write_header(&mut out, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
            }
        }
        for (name, value) in &self.headers {
            write_header(&mut out, name, value);
        }
        if let Some(grant) = context.cors {
            grant.write(&mut out);
        }
        out.extend_from_slice(b"\r\n");
        if body_bytes > 0 && self.status != 204 {
            out.extend_from_slice(&self.body);
        }
        out
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(present, _)| present.eq_ignore_ascii_case(name))
    }
}

/// Status line, `Server`, `Connection` and `Date`: how every answer of this server starts.
pub(super) fn write_start(
    out: &mut Vec<u8>,
    version: &str,
    status: u16,
    server: &str,
    connection: &str,
    date: WallTime,
) {
    let phrase = reason_phrase(status);
    out.extend_from_slice(format!("{version} {status} {phrase}\r\n").as_bytes());
    write_header(out, "Server", server);
    write_header(out, "Connection", connection);
    write_header(out, "Date", &date.http_date());
}

/// The lines that keep an answer out of caches.
pub(super) fn write_no_cache(out: &mut Vec<u8>) {
    out.extend_from_slice(NO_CACHE.as_bytes());
}

/// One header line. Control characters are left out of the value, so that no name of a stream can
/// start a line of its own; a name that is no token (RFC 9110, 5.6.2) leaves the whole line out.
pub(super) fn write_header(out: &mut Vec<u8>, name: &str, value: &str) {
    write_joined(out, name, ": ", value);
}

/// A header line without the space behind the colon, as Icecast writes `icy-` lines.
pub(super) fn write_icy_header(out: &mut Vec<u8>, name: &str, value: &str) {
    write_joined(out, name, ":", value);
}

fn write_joined(out: &mut Vec<u8>, name: &str, joint: &str, value: &str) {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(joint.as_bytes());
    out.extend(value.bytes().filter(|byte| !byte.is_ascii_control()));
    out.extend_from_slice(b"\r\n");
}

/// The standard phrase of a status (RFC 9110, section 15; RFC 6585 for 429 and 431).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn context<'a>() -> AnswerContext<'a> {
        AnswerContext {
            protocol: Protocol::Http11,
            server: "Icecast 2.4.4",
            date: WallTime(784_111_777),
            keep_alive: true,
            head_only: false,
            cors: None,
        }
    }

    fn text(answer: &Answer, context: &AnswerContext<'_>) -> String {
        String::from_utf8(answer.to_bytes(context)).expect("UTF-8")
    }

    #[test]
    fn an_answer_is_head_and_body_in_icecasts_order() {
        let answer = Answer::new(200, TEXT, "hello").with("X-Extra", "yes");
        assert_eq!(
            text(&answer, &context()),
            "HTTP/1.1 200 OK\r\nServer: Icecast 2.4.4\r\nConnection: Keep-Alive\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 5\r\nCache-Control: no-cache, no-store\r\n\
             Expires: Mon, 26 Jul 1997 05:00:00 GMT\r\nPragma: no-cache\r\n\
             X-Content-Type-Options: nosniff\r\nX-Extra: yes\r\n\r\nhello"
        );
    }

    #[test]
    fn old_protocols_are_answered_in_kind_and_heads_have_no_body() {
        let answer = Answer::new(404, HTML, "<html>").with("Cache-Control", "max-age=5");
        let context = AnswerContext {
            protocol: Protocol::Ice10,
            keep_alive: false,
            head_only: true,
            cors: CorsGrant::decide(Some(b"https://a.example"), &["*"]),
            ..context()
        };
        let text = text(&answer, &context);
        assert!(text.starts_with("HTTP/1.0 404 Not Found\r\n"));
        assert!(text.contains("Connection: Close\r\n"));
        assert!(text.contains("Content-Length: 6\r\n"));
        assert!(text.contains("Content-Security-Policy: default-src 'none'"));
        assert!(text.contains("Access-Control-Allow-Origin: https://a.example\r\n"));
        assert!(!text.contains("Pragma"));
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn no_content_names_no_length() {
        let text = text(&Answer::empty(204), &context());
        assert!(!text.contains("Content-Length") && !text.contains("Content-Type:"));
        assert!(self::text(&Answer::empty(200), &context()).contains("Content-Length: 0\r\n"));
    }

    proptest! {
        #[test]
        fn no_value_starts_a_line_of_its_own(
            name in "[a-z:\r\n ]{0,6}", value in "[a\r\n:\u{0}é]*",
        ) {
            let plain = Answer::empty(200).to_bytes(&context());
            let dressed = Answer::empty(200).with(name, value).to_bytes(&context());
            let lines = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
            prop_assert!(lines(&dressed) <= lines(&plain) + 1);
            prop_assert!(dressed.ends_with(b"\r\n\r\n"));
            prop_assert!(!dressed.windows(5).any(|window| window == b"\r\n\r\n\r"));
        }
    }
}
