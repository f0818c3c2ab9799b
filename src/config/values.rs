//! The grammar of single values: text to a typed value, or the rule it breaks. Pure functions that
//! know neither keys nor files.

use super::fault::Rule;
use super::model::LogTarget;
use crate::base::limits::{MOUNT_PATH_BYTES_MAX, STREAM_HEADER_BYTES_MAX};
use crate::base::quantity;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A time, as [`quantity::duration`] reads it.
pub(super) fn duration(text: &str) -> Result<Duration, Rule> {
    quantity::duration(text).ok_or(Rule::Duration)
}

/// A size in bytes, as [`quantity::size`] reads it.
pub(super) fn size(text: &str) -> Result<usize, Rule> {
    quantity::size(text).ok_or(Rule::Size)
}

/// `time` as [`duration`] reads it, in the largest unit that holds it whole.
pub(super) fn duration_text(time: Duration) -> String {
    let ms = time.as_millis();
    match [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit_ms, _)| ms.is_multiple_of(*unit_ms))
    {
        _ if ms == 0 => "0s".to_owned(),
        Some((unit_ms, unit)) => format!("{}{unit}", ms / unit_ms),
        None => format!("{ms}ms"),
    }
}

/// `bytes` as [`size`] reads them, in the largest binary unit that holds them whole.
pub(super) fn size_text(bytes: usize) -> String {
    match [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit_bytes, _)| bytes.is_multiple_of(*unit_bytes))
    {
        Some((unit_bytes, unit)) if bytes != 0 => format!("{}{unit}", bytes / unit_bytes),
        _ => format!("{bytes}B"),
    }
}

/// An address and port to listen on. Names are refused: what they mean may change while we run.
pub(super) fn address(text: &str) -> Result<SocketAddr, Rule> {
    text.parse().map_err(|_| Rule::Address)
}

/// A network, or one address as the network of itself. Bits beyond the prefix are cleared, so that
/// equal networks compare equal.
pub(super) fn net(text: &str) -> Result<IpNet, Rule> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(|net| net.trunc()).map_err(|_| Rule::Net)
}

/// A host name or address, with or without a port: what stands between `http://` and the path.
/// Names beyond ASCII are given in their `xn--` form, as players look them up.
pub(super) fn hostname(text: &str) -> Result<String, Rule> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let sound = (1..=HOSTNAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(letter);
    sound.then(|| text.to_owned()).ok_or(Rule::Hostname)
}

/// One line of text that can stand in a header.
pub(super) fn line(text: &str) -> Result<String, Rule> {
    is_line(text).then(|| text.to_owned()).ok_or(Rule::Line)
}

fn is_line(text: &str) -> bool {
    let whole = !text.is_empty() && text.len() <= STREAM_HEADER_BYTES_MAX;
    whole && text.trim() == text && !text.chars().any(char::is_control)
}

/// A user name of HTTP Basic: no colon (RFC 7617 section 2), no control characters.
pub(super) fn user(text: &str) -> Result<String, Rule> {
    let sound = (1..=USER_BYTES_MAX).contains(&text.len())
        && !text.chars().any(|letter| letter == ':' || letter.is_control());
    sound.then(|| text.to_owned()).ok_or(Rule::User)
}

/// A mount path, or a pattern that ends in its only `*`. It is the path after percent-decoding, so
/// all but control characters, `?` and `#` may stand in it.
pub(super) fn mount_path(text: &str) -> Result<String, Rule> {
    let path = text.strip_suffix('*').unwrap_or(text);
    let foreign = |letter: char| letter.is_control() || "?#*".contains(letter);
    let sound = path.starts_with('/')
        && text.len() >= 2
        && text.len() <= MOUNT_PATH_BYTES_MAX
        && !path.contains(foreign);
    sound.then(|| text.to_owned()).ok_or(Rule::MountPath)
}

/// A media type with or without parameters (RFC 9110 section 8.3.1), in visible ASCII.
pub(super) fn content_type(text: &str) -> Result<String, Rule> {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let named = essence.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    let sound = named && is_line(text) && text.is_ascii();
    sound.then(|| text.to_owned()).ok_or(Rule::ContentType)
}

/// A header's name: a token (RFC 9110 section 5.1) that the server does not set itself.
pub(super) fn header_name(text: &str) -> Result<String, Rule> {
    if !is_token(text) || text.len() > HEADER_NAME_BYTES_MAX {
        return Err(Rule::HeaderName);
    }
    if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(text)) {
        return Err(Rule::HeaderReserved);
    }
    Ok(text.to_owned())
}

/// A header's value: one line. Without this rule a value could end the head early.
pub(super) fn header_value(text: &str) -> Result<String, Rule> {
    is_line(text).then(|| text.to_owned()).ok_or(Rule::HeaderValue)
}

fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(letter)
}

/// `*`, or an origin as browsers send it: scheme and host, no path (RFC 6454 section 6.2).
pub(super) fn origin(text: &str) -> Result<String, Rule> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = text == "*" || host.is_some_and(|host| hostname(host).is_ok());
    sound.then(|| text.to_owned()).ok_or(Rule::Origin)
}

/// Where a log goes. A path needs a slash: without this rule `stdot` would become a file.
pub(super) fn log_target(text: &str) -> Result<LogTarget, Rule> {
    match text {
        "off" => Ok(LogTarget::Off),
        "stdout" => Ok(LogTarget::Stdout),
        "stderr" => Ok(LogTarget::Stderr),
        path if path.contains('/') && !path.ends_with('/') && !path.contains(char::is_control) => {
            Ok(LogTarget::File(PathBuf::from(path)))
        }
        _ => Err(Rule::LogTarget),
    }
}

/// A path of a file. Whether there is one is seen when it is read.
pub(super) fn file(text: &str) -> Result<PathBuf, Rule> {
    let sound = (1..=FILE_PATH_BYTES_MAX).contains(&text.len())
        && !text.ends_with('/')
        && !text.contains(char::is_control);
    sound.then(|| PathBuf::from(text)).ok_or(Rule::File)
}

/// Linux's `PATH_MAX` without the byte that ends it.
const FILE_PATH_BYTES_MAX: usize = 4095;
/// RFC 1035 section 2.3.4.
const HOSTNAME_BYTES_MAX: usize = 255;
/// A name longer than this is a password in the wrong place.
const USER_BYTES_MAX: usize = 64;
/// Longer than any registered name; keeps heads far below what players accept.
const HEADER_NAME_BYTES_MAX: usize = 64;

/// Headers whose value decides how the answer is framed or read; a second one would contradict the
/// first. `cors_origins` and `metadata_interval` set the last two.
const RESERVED_HEADERS: &[&str] = &[
    "Content-Type",
    "Content-Length",
    "Connection",
    "Transfer-Encoding",
    "Access-Control-Allow-Origin",
    "icy-metaint",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_need_a_port_and_networks_do_not_need_a_prefix() {
        assert!(address("[::]:8000").is_ok());
        assert!(address("127.0.0.1:0").is_ok());
        for wrong in ["", "8000", ":8000", "localhost:8000", "::1", "1.2.3.4:65536"] {
            assert_eq!(address(wrong), Err(Rule::Address), "{wrong:?}");
        }
        assert_eq!(net("10.1.2.3/8"), net("10.0.0.0/8"));
        assert_eq!(net("10.1.2.3"), net("10.1.2.3/32"));
        assert_eq!(net("::1"), net("::1/128"));
        for wrong in ["", "10.0.0.0/33", "10.0.0", "example"] {
            assert_eq!(net(wrong), Err(Rule::Net), "{wrong:?}");
        }
    }

    #[test]
    fn mount_paths_begin_with_a_slash_and_star_only_at_the_end() {
        for sound in ["/live", "/*", "/radio/*", "/a b", "/é.mp3", "/r*"] {
            assert_eq!(mount_path(sound).as_deref(), Ok(sound));
        }
        let long = format!("/{}", "x".repeat(MOUNT_PATH_BYTES_MAX));
        for wrong in ["", "/", "live", "*", "/*/x", "/**", "/a?b", "/a#b", "/a\r\n", &long] {
            assert_eq!(mount_path(wrong), Err(Rule::MountPath), "{wrong:?}");
        }
    }

    #[test]
    fn headers_cannot_split_the_answer_or_contradict_it() {
        assert!(header_name("X-Robots-Tag").is_ok());
        for wrong in ["", "X Robots", "X:", "X\r\n", "É"] {
            assert_eq!(header_name(wrong), Err(Rule::HeaderName), "{wrong:?}");
        }
        for reserved in RESERVED_HEADERS {
            assert_eq!(header_name(&reserved.to_uppercase()), Err(Rule::HeaderReserved));
        }
        assert!(header_value("noindex, é").is_ok());
        for wrong in ["", " a", "a\r\nSet-Cookie: b", "a\nb", "a\0"] {
            assert_eq!(header_value(wrong), Err(Rule::HeaderValue), "{wrong:?}");
        }
    }

    #[test]
    fn text_rules_refuse_what_cannot_stand_in_a_header() {
        assert!(line("Ünder the sea").is_ok());
        assert_eq!(line(&"x".repeat(513)), Err(Rule::Line));
        assert_eq!(line("a\nb"), Err(Rule::Line));
        assert!(user("source").is_ok());
        assert_eq!(user("a:b"), Err(Rule::User));
        assert_eq!(user(""), Err(Rule::User));
        assert!(hostname("radio.example:8000").is_ok());
        assert!(hostname("[2001:db8::1]").is_ok());
        assert_eq!(hostname("http://radio.example"), Err(Rule::Hostname));
        assert!(content_type("audio/mpeg").is_ok());
        assert!(content_type("application/ogg; codecs=opus").is_ok());
        for wrong in ["", "mp3", "/mpeg", "audio/", "audio/mpeg\r\n", "audio /mpeg"] {
            assert_eq!(content_type(wrong), Err(Rule::ContentType), "{wrong:?}");
        }
    }

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        for sound in ["*", "https://radio.example", "http://localhost:3000"] {
            assert_eq!(origin(sound).as_deref(), Ok(sound));
        }
        for wrong in ["", "radio.example", "https://radio.example/", "https://", "ftp://a"] {
            assert_eq!(origin(wrong), Err(Rule::Origin), "{wrong:?}");
        }
    }

    #[test]
    fn a_misspelt_log_target_does_not_become_a_file() {
        assert_eq!(log_target("off"), Ok(LogTarget::Off));
        assert_eq!(log_target("./access.log"), Ok(LogTarget::File("./access.log".into())));
        for wrong in ["", "stdot", "access.log", "/var/log/", "/a\nb"] {
            assert_eq!(log_target(wrong), Err(Rule::LogTarget), "{wrong:?}");
        }
    }

    #[test]
    fn a_file_is_a_path_that_ends_in_a_name() {
        for sound in ["intro.mp3", "./jingles/intro.mp3", "/var/lib/floe/öffnen.ogg"] {
            assert_eq!(file(sound), Ok(sound.into()));
        }
        let long = "x".repeat(FILE_PATH_BYTES_MAX + 1);
        for wrong in ["", "jingles/", "a\0b", "a\nb", &long] {
            assert_eq!(file(wrong), Err(Rule::File), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn shown_durations_and_sizes_read_back(number in 0u32..) {
            let time = Duration::from_millis(u64::from(number));
            prop_assert_eq!(duration(&duration_text(time)), Ok(time));
            let bytes = number as usize;
            prop_assert_eq!(size(&size_text(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics_any_rule(text in "\\PC{0,40}|[0-9a-zA-Z/:*.%\\[\\]\r\n é-]{0,20}") {
            let _ = (duration(&text), size(&text), address(&text), net(&text), hostname(&text));
            let _ = (line(&text), user(&text), mount_path(&text), content_type(&text));
            let _ = (header_name(&text), header_value(&text), origin(&text), log_target(&text));
            let _ = file(&text);
        }
    }
}
