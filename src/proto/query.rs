//! Query strings and forms (`application/x-www-form-urlencoded`): names and values as bytes, since
//! the charset of a title is only known from another pair of the same query.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Pairs of one query that are looked at. The longest known, a directory's `add`, has 12.
pub const PAIRS_MAX: usize = 64;

/// One name and its value, both decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<'q> {
    /// The name.
    pub name: Cow<'q, [u8]>,
    /// The value; empty if the name stood alone.
    pub value: Cow<'q, [u8]>,
}

/// The pairs of a query in order, at most [`PAIRS_MAX`]. `+` is a space. An escape that is none
/// stays as it is: encoders send titles such as `100% pure` half encoded.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX).map(|pair| {
        match pair.iter().position(|&byte| byte == b'=') {
            Some(equals) => {
                Pair { name: decoded(&pair[..equals]), value: decoded(&pair[equals + 1..]) }
            }
            None => Pair { name: decoded(pair), value: Cow::Borrowed(&[]) },
        }
    })
}

/// The value of the first pair called `name`, exactly as Icecast compares: case counts.
pub fn value<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, [u8]>> {
    pairs(query).find(|pair| *pair.name == *name.as_bytes()).map(|pair| pair.value)
}

fn decoded(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.contains(&b'+') {
        return percent_decode(encoded).into();
    }
    let spaced: Vec<u8> =
        encoded.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    #[test]
    fn a_metadata_query_comes_apart() {
        let query = b"mode=updinfo&mount=%2Flive&&song=AC%2FDC+-+It%27s%20%e9&song=second&flag";
        assert_eq!(value(query, "mount").as_deref(), Some(&b"/live"[..]));
        assert_eq!(value(query, "song").as_deref(), Some(&b"AC/DC - It's \xe9"[..]));
        assert_eq!(value(query, "flag").as_deref(), Some(&b""[..]));
        assert_eq!(value(query, "Song"), None);
        assert_eq!(pairs(query).count(), 5);
    }

    #[test]
    fn half_encoded_titles_survive() {
        assert_eq!(value(b"song=100% pure&x", "song").as_deref(), Some(&b"100% pure"[..]));
        assert_eq!(value(b"song=a%2", "song").as_deref(), Some(&b"a%2"[..]));
        assert_eq!(value(b"song=a=b", "song").as_deref(), Some(&b"a=b"[..]));
        assert_eq!(value(b"song=%2B+%2b", "song").as_deref(), Some(&b"+ +"[..]));
    }

    #[test]
    fn a_flood_of_pairs_is_cut_off() {
        assert_eq!(pairs(&b"a=b&".repeat(10_000)).count(), PAIRS_MAX);
        assert_eq!(pairs(b"").count(), 0);
    }

    #[test]
    fn a_query_cut_at_any_byte_gives_a_start_of_its_value() {
        let query = b"song=AC%2FDC";
        for cut in 0..query.len() {
            let seen = value(&query[..cut], "song").unwrap_or_default().into_owned();
            let raw = query[..cut].strip_prefix(b"song=").unwrap_or_default();
            assert!(b"AC/DC".starts_with(&seen) || raw.starts_with(&seen), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes: Vec<u8>) {
            let query = format!("a=1&v={}", percent_encode(&bytes, NON_ALPHANUMERIC));
            let seen = value(query.as_bytes(), "v");
            prop_assert_eq!(seen.as_deref(), Some(&bytes[..]));
        }

        #[test]
        fn nothing_grows_by_decoding(query: Vec<u8>) {
            let decoded: usize = pairs(&query).map(|pair| pair.name.len() + pair.value.len()).sum();
            prop_assert!(decoded <= query.len());
        }
    }
}
