//! Cross-origin rules (the Fetch standard's CORS protocol): whether a page of another site may play
//! or read an answer, and the header lines that say so.

use super::answer::write_header;

/// Request headers a page may send. `Icy-MetaData` and `Authorization` are what Icecast 2.5's own
/// defaults forget and web players need.
const HEADERS_ALLOWED: &str = "Origin, Accept, Authorization, Icy-MetaData, If-Range, Range, \
                               X-Floe-Burst";

/// Response headers a page may read. Without `Icy-MetaInt` a web player cannot find the titles.
const HEADERS_EXPOSED: &str = "Content-Length, Content-Range, Icy-Br, Icy-Description, Icy-Genre, \
                               Icy-MetaInt, Icy-Name, Icy-Pub, Icy-Url";

/// Seconds a browser may remember a preflight, as Icecast 2.5 says. Longer makes a change of
/// `cors_origins` slow to arrive; shorter doubles the requests of web players.
const PREFLIGHT_SECONDS: &str = "300";

/// Bytes of an origin: a scheme, a host name of at most 253 and a port.
const ORIGIN_BYTES_MAX: usize = 300;

/// The permission for one origin to read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorsGrant<'a> {
    origin: &'a str,
    named: bool,
}

impl<'a> CorsGrant<'a> {
    /// The grant for a request's `Origin`, where `allowed` lists the mount's origins, `*` for all.
    /// `None` if the request is not cross-origin, or comes from a site that is not listed.
    pub fn decide<S: AsRef<str>>(origin: Option<&'a [u8]>, allowed: &[S]) -> Option<Self> {
        let origin = std::str::from_utf8(origin?).ok()?;
        if origin.is_empty()
            || origin.len() > ORIGIN_BYTES_MAX
            || !origin.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return None;
        }
        let listed = |entry: &S| entry.as_ref().eq_ignore_ascii_case(origin);
        // `null` is the origin of sandboxed frames and local files, which anyone can be.
        let named = origin != "null" && allowed.iter().any(listed);
        let anyone = allowed.iter().any(|entry| entry.as_ref() == "*");
        (named || anyone).then_some(Self { origin, named })
    }

    /// Adds the lines that let the origin read this answer. Credentials are allowed to origins that
    /// were listed by name only: with `*` any site could read what a signed-in visitor may.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        write_header(out, "Access-Control-Allow-Origin", self.origin);
        if self.named {
            write_header(out, "Access-Control-Allow-Credentials", "true");
        }
        write_header(out, "Access-Control-Expose-Headers", HEADERS_EXPOSED);
        write_header(out, "Vary", "Origin");
    }
}

/// The lines that answer a preflight, beside the grant's own.
pub(super) fn preflight_headers() -> [(&'static str, String); 3] {
    [
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS".to_owned()),
        ("Access-Control-Allow-Headers", HEADERS_ALLOWED.to_owned()),
        ("Access-Control-Max-Age", PREFLIGHT_SECONDS.to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(origin: &str, allowed: &[&str]) -> Option<String> {
        let grant = CorsGrant::decide(Some(origin.as_bytes()), allowed)?;
        let mut out = Vec::new();
        grant.write(&mut out);
        Some(String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn a_listed_origin_is_echoed_with_credentials() {
        let lines = lines("https://radio.example", &["https://Radio.example"]).expect("granted");
        assert!(lines.starts_with("Access-Control-Allow-Origin: https://radio.example\r\n"));
        assert!(lines.contains("Allow-Credentials: true"));
        assert!(lines.contains("Icy-MetaInt"));
    }

    #[test]
    fn anyone_is_echoed_without_credentials() {
        let lines = lines("https://other.example", &["*"]).expect("granted");
        assert!(lines.contains("Allow-Origin: https://other.example\r\n"));
        assert!(!lines.contains("Credentials"));
        assert!(!self::lines("null", &["*", "null"]).expect("granted").contains("Credentials"));
    }

    #[test]
    fn others_get_nothing() {
        for (origin, allowed) in [
            ("https://evil.example", &["https://radio.example"][..]),
            ("https://radio.example", &[]),
            ("", &["*"]),
            ("a\r\nSet-Cookie: b", &["*"]),
            ("a b", &["*"]),
        ] {
            assert_eq!(lines(origin, allowed), None, "{origin}");
        }
        assert_eq!(CorsGrant::decide(None, &["*"]), None);
        let long = "a".repeat(ORIGIN_BYTES_MAX + 1);
        assert_eq!(lines(&long, &["*"]), None);
    }
}
