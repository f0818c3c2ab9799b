//! Text from outside made fit to be kept and repeated: charsets, control characters, length, and
//! escaping for HTML and XML. Pure functions; every other file of this room goes through them
//! before it lets a stranger's words into a header, a block or a page.

use std::borrow::Cow;

use encoding_rs::{Encoding, WINDOWS_1252};

/// Bytes as text. `charset` is what the sender said; without it, or when it says UTF-8 and the
/// bytes are not, valid UTF-8 is UTF-8 and anything else is windows-1252. Icecast 2.4 takes titles
/// for ISO-8859-1; windows-1252 is its superset that encoders on Windows really send, and every
/// byte of it means something, so nothing is ever refused here.
pub fn decode<'b>(bytes: &'b [u8], charset: Option<&'static Encoding>) -> Cow<'b, str> {
    if let Some(charset) = charset
        && let (text, false) = charset.decode_without_bom_handling(bytes)
    {
        return text;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Text without control characters and without white space at its ends. Tabs and line ends become a
/// space, because they stood between words; the rest vanishes. This is what keeps a title or a
/// stream name from starting a header line of its own.
pub fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
    }
    let kept: String = text
        .chars()
        .filter_map(|character| match character {
            '\t' | '\n' | '\r' => Some(' '),
            control if control.is_control() => None,
            other => Some(other),
        })
        .collect();
    Cow::Owned(kept.trim().to_owned())
}

/// The longest start of `text` that is at most `bytes_max` bytes and ends between two characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Cleans, cuts to `bytes_max` and owns; `None` if nothing is left.
pub fn label(text: Cow<'_, str>, bytes_max: usize) -> Option<String> {
    let text = clean(text);
    let kept = cut(&text, bytes_max).trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Text for an element or a quoted attribute of HTML or XML. Characters that XML 1.0 (section 2.2)
/// cannot carry at all are left out, since one of them makes the whole document unreadable.
pub fn escape_markup(text: &str) -> Cow<'_, str> {
    let special = |character: char| {
        matches!(character, '&' | '<' | '>' | '"' | '\'' | '\u{fffe}' | '\u{ffff}')
            || character.is_control()
    };
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(character),
            dropped if special(dropped) => {}
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{ISO_8859_2, UTF_8};
    use proptest::prelude::*;

    #[test]
    fn bytes_without_a_charset_are_utf8_or_windows_1252() {
        assert_eq!(decode("Motörhead".as_bytes(), None), "Motörhead");
        assert_eq!(decode(b"Mot\xf6rhead", None), "Motörhead");
        assert_eq!(decode(b"\x93quoted\x94", None), "“quoted”");
    }

    #[test]
    fn a_named_charset_is_obeyed_unless_it_cannot_be_true() {
        assert_eq!(decode(b"\xb1", Some(ISO_8859_2)), "ą");
        assert_eq!(decode(b"Mot\xf6rhead", Some(UTF_8)), "Motörhead");
    }

    #[test]
    fn a_line_end_cannot_survive_in_a_label() {
        assert_eq!(clean("a\r\nSet-Cookie: b\0\u{9b}".into()), "a  Set-Cookie: b");
        assert_eq!(label("  \r\n ".into(), 10), None);
        assert_eq!(label("ab é".into(), 4).as_deref(), Some("ab"));
    }

    #[test]
    fn markup_is_escaped_for_elements_and_attributes() {
        assert_eq!(escape_markup("plain"), "plain");
        assert_eq!(
            escape_markup("<a href='x'>\"&\u{0}\u{ffff}"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_label_within_its_bound(bytes: Vec<u8>, bytes_max in 0_usize..64) {
            if let Some(label) = label(decode(&bytes, None), bytes_max) {
                prop_assert!(label.len() <= bytes_max);
                prop_assert!(!label.chars().any(char::is_control));
                prop_assert_eq!(label.trim(), &label);
            }
        }
    }
}
