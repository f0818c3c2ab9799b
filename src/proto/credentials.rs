//! `Authorization: Basic` (RFC 7617): who a peer says it is. It takes the words apart and compares
//! nothing: whether a password is right is decided elsewhere, in constant time.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::text;

/// Bytes of a header value that is looked at. Icecast's whole head is 4096 bytes; names and
/// passwords of people and generators stay under 200.
pub const CREDENTIALS_BYTES_MAX: usize = 1024;

/// Encoders built in a hurry leave the padding out or the last bits set; both are harmless here.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A name and a password as they were sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name; empty if none was given. Without control characters, fit for a log line.
    pub user: String,
    /// The password. Never printed.
    pub password: String,
}

/// Why an `Authorization` value names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialsFault {
    /// Another scheme than Basic.
    Scheme,
    /// Longer than [`CREDENTIALS_BYTES_MAX`].
    TooLong,
    /// Not base64.
    Encoding,
    /// No colon between name and password, or control characters, which RFC 7617 forbids.
    Shape,
}

/// Reads the value of an `Authorization` header. Text that is not UTF-8 is taken for windows-1252,
/// so that a password typed as `é` is the same from every encoder.
pub fn basic(value: &[u8]) -> Result<Credentials, CredentialsFault> {
    if value.len() > CREDENTIALS_BYTES_MAX {
        return Err(CredentialsFault::TooLong);
    }
    let value = value.trim_ascii();
    let Some((scheme, encoded)) = value.split_at_checked("basic".len()) else {
        return Err(CredentialsFault::Scheme);
    };
    if !scheme.eq_ignore_ascii_case(b"basic") || !encoded.starts_with(b" ") {
        return Err(CredentialsFault::Scheme);
    }
    let pair = LENIENT.decode(encoded.trim_ascii()).map_err(|_| CredentialsFault::Encoding)?;
    let pair = text::decode(&pair, None);
    if pair.chars().any(char::is_control) {
        return Err(CredentialsFault::Shape);
    }
    let (user, password) = pair.split_once(':').ok_or(CredentialsFault::Shape)?;
    Ok(Credentials { user: user.to_owned(), password: password.to_owned() })
}

impl fmt::Debug for Credentials {
    /// The name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(value: &str) -> Result<(String, String), CredentialsFault> {
        basic(value.as_bytes()).map(|found| (found.user, found.password))
    }

    #[test]
    fn name_and_password_are_parted_at_the_first_colon() {
        let aladdin = Ok(("Aladdin".to_owned(), "open sesame".to_owned()));
        assert_eq!(pair("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        assert_eq!(pair("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ"), aladdin);
        assert_eq!(pair("Basic YTpiOmM="), Ok(("a".to_owned(), "b:c".to_owned())));
        assert_eq!(pair("Basic Og=="), Ok((String::new(), String::new())));
    }

    #[test]
    fn padding_and_last_bits_may_be_sloppy() {
        for value in ["Basic YTpi", "Basic YTpiYw", "Basic YTpiYx==", "Basic YTpiYw="] {
            assert!(pair(value).is_ok(), "{value}");
        }
    }

    #[test]
    fn a_latin_password_equals_its_utf8_form() {
        let sent = |bytes: &[u8]| {
            let value = format!("Basic {}", LENIENT.encode(bytes));
            basic(value.as_bytes()).map(|found| found.password)
        };
        assert_eq!(sent(b"dj:caf\xe9"), sent("dj:café".as_bytes()));
    }

    #[test]
    fn what_names_nobody_says_why() {
        let long = format!("Basic {}", "A".repeat(CREDENTIALS_BYTES_MAX));
        for (value, expected) in [
            ("", CredentialsFault::Scheme),
            ("Basic", CredentialsFault::Scheme),
            ("BasicYTpi", CredentialsFault::Scheme),
            ("Bearer YTpi", CredentialsFault::Scheme),
            ("Basic ?", CredentialsFault::Encoding),
            ("Basic YTpi YTpi", CredentialsFault::Encoding),
            ("Basic YWI=", CredentialsFault::Shape),
            ("Basic ", CredentialsFault::Scheme),
            ("Basic YToKYg==", CredentialsFault::Shape),
            (&long, CredentialsFault::TooLong),
        ] {
            assert_eq!(pair(value), Err(expected), "{value}");
        }
    }

    #[test]
    fn a_value_cut_at_any_byte_never_shows_more_than_it_holds() {
        let value = b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        for cut in 0..value.len() {
            if let Ok(found) = basic(&value[..cut]) {
                assert!("open sesame".starts_with(&found.password), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let found = basic(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").expect("valid");
        assert_eq!(format!("{found:?}"), "Credentials { user: \"Aladdin\", .. }");
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(user in "[^:\\pC]{0,20}", password in "\\PC{0,20}") {
            let value = format!("Basic {}", LENIENT.encode(format!("{user}:{password}")));
            prop_assert_eq!(basic(value.as_bytes()), Ok(Credentials { user, password }));
        }

        #[test]
        fn no_value_makes_it_panic(value: Vec<u8>) {
            let _ = basic(&[b"Basic ", &value[..]].concat());
        }
    }
}
