//! Request targets (RFC 9112, section 3.2): where in the server a request points. Decodes and
//! resolves the path once, so that no later file sees two spellings of one mount and access rules
//! cannot be walked around with `%2e%2e`.

use percent_encoding::percent_decode_str;

use super::http::{HeadFault, Method};

/// A request target taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    /// Percent-decoded, dot segments resolved, starting with `/`; UTF-8 without control characters.
    pub(super) path: String,
    /// What follows the first `?`, still encoded.
    pub(super) query: Option<&'b str>,
}

impl<'b> Target<'b> {
    /// Takes the origin form (`/live`), the absolute form that proxies and some old players send
    /// (`http://host/live`) and, for OPTIONS alone, `*`. A path that does not start with `/` is
    /// refused as Icecast 2.5 does.
    pub(super) fn parse(method: Method, raw: &'b str) -> Result<Self, HeadFault> {
        if raw == "*" && method == Method::Options {
            return Ok(Self { path: "/".to_owned(), query: None });
        }
        let local = after_authority(raw).unwrap_or(raw);
        // A fragment is never meant for a server (RFC 9110, 4.2.5); players that send one anyway
        // mean the part before it.
        let local = local.split_once('#').map_or(local, |(before, _)| before);
        let (path, query) = match local.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (local, None),
        };
        let path = if path.is_empty() && local.len() != raw.len() { "/" } else { path };
        if !path.starts_with('/') || !is_well_encoded(path) {
            return Err(HeadFault::Target);
        }
        let path = percent_decode_str(path).decode_utf8().map_err(|_| HeadFault::Target)?;
        if path.chars().any(char::is_control) {
            return Err(HeadFault::Target);
        }
        Ok(Self { path: resolve_dots(&path), query })
    }
}

/// What follows scheme and authority of an absolute-form target; `None` for other forms. The
/// authority itself is not used: one server, whatever name it was reached by.
fn after_authority(raw: &str) -> Option<&str> {
    let (scheme, rest) = raw.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (end > 0).then(|| &rest[end..])
}

/// Whether every `%` is followed by two hexadecimal digits. Passing others on as they are would let
/// two layers decode one path differently.
fn is_well_encoded(path: &str) -> bool {
    path.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// RFC 3986, section 5.2.4, on a decoded path; `..` above the root stays at the root.
fn resolve_dots(path: &str) -> String {
    if !path.contains("/.") {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split('/').skip(1) {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    if ends_in_dots {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &str) -> Result<String, HeadFault> {
        Target::parse(Method::Get, raw).map(|target| target.path)
    }

    #[test]
    fn every_form_of_target_leads_to_one_path() {
        for raw in ["/live", "http://radio.example:8000/live", "HTTPS://radio.example/live#now"] {
            assert_eq!(path(raw).as_deref(), Ok("/live"), "{raw}");
        }
        assert_eq!(path("http://radio.example").as_deref(), Ok("/"));
        let target = Target::parse(Method::Get, "http://h?a=b?c").expect("valid");
        assert_eq!((target.path.as_str(), target.query), ("/", Some("a=b?c")));
        assert_eq!(Target::parse(Method::Options, "*").map(|t| t.path).as_deref(), Ok("/"));
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(path("/caf%C3%A9").as_deref(), Ok("/café"));
        assert_eq!(path("/a%252e").as_deref(), Ok("/a%2e"));
        assert_eq!(path("/a+b").as_deref(), Ok("/a+b"));
    }

    #[test]
    fn dots_cannot_climb_or_hide() {
        for (raw, resolved) in [
            ("/a/../b", "/b"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/x/%2e%2e/admin/stats", "/admin/stats"),
            ("/x%2f..%2fadmin", "/admin"),
            ("/a/b/..", "/a/"),
            ("/.", "/"),
            ("/a/./b.mp3", "/a/b.mp3"),
            ("/.hidden", "/.hidden"),
        ] {
            assert_eq!(path(raw).as_deref(), Ok(resolved), "{raw}");
        }
    }

    #[test]
    fn broken_targets_are_refused() {
        for raw in ["live", "*", "", "/%", "/%2", "/%zz", "/%00", "/a%0d%0ab", "/%ff", "ftp://h/x"]
        {
            assert_eq!(path(raw), Err(HeadFault::Target), "{raw:?}");
        }
        assert_eq!(path("http:///live"), Err(HeadFault::Target));
    }

    proptest! {
        #[test]
        fn a_path_is_absolute_and_without_dots_whatever_came(raw in "[/.%2eEfFa#?:]{0,24}") {
            if let Ok(path) = path(&raw) {
                prop_assert!(path.starts_with('/'));
                prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
            }
        }
    }
}
