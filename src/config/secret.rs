//! A password as configured: plain, or an argon2 hash in PHC form. It checks the shape only and
//! never compares a password with anything; that is the control thread's work.

use super::fault::Rule;
use std::fmt;

/// A configured password. `Debug` never shows it. Equality is for telling two configurations apart,
/// not for signing in: it does not run in constant time.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Plain(String),
    /// A PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    Argon2(String),
}

impl Secret {
    /// The secret that `text` is: a hash if it begins with `$argon2`, else the password itself.
    pub(super) fn parse(text: &str) -> Result<Self, Rule> {
        if text.is_empty() {
            return Err(Rule::PasswordEmpty);
        }
        if text.starts_with("$argon2") {
            return if is_argon2(text) {
                Ok(Self::Argon2(text.to_owned()))
            } else {
                Err(Rule::PasswordHash)
            };
        }
        if text.len() > PASSWORD_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(Rule::PasswordText);
        }
        if FAMOUS.iter().any(|famous| famous.eq_ignore_ascii_case(text)) {
            return Err(Rule::PasswordFamous);
        }
        Ok(Self::Plain(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(hidden)",
            Self::Argon2(_) => "Argon2(hidden)",
        })
    }
}

/// Whether `text` has the PHC form of argon2
/// (<https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md>) with costs this server
/// would pay: each check of a password takes `m` KiB for its length, and two may run at once.
fn is_argon2(text: &str) -> bool {
    let mut fields = text.split('$').skip(1).peekable();
    let Some("argon2id" | "argon2i" | "argon2d") = fields.next() else { return false };
    // The version may be left out and then means 16 (1.0), as the argon2 command once wrote it.
    if fields.peek().is_some_and(|field| field.starts_with("v=")) {
        let Some("v=16" | "v=19") = fields.next() else { return false };
    }
    let (Some(costs), Some(salt), Some(hash), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    costs_are_payable(costs) && is_base64(salt, 11, 64) && is_base64(hash, 14, 86)
}

/// Whether `costs` is `m=…,t=…,p=…` within RFC 9106 section 3.1 and the ceilings below.
fn costs_are_payable(costs: &str) -> bool {
    let mut numbers = costs.split(',').zip(["m=", "t=", "p="]).map(|(cost, name)| {
        let digits = cost.strip_prefix(name)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?
    });
    let (Some(Some(memory)), Some(Some(passes)), Some(Some(lanes))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return false;
    };
    costs.split(',').count() == 3
        && (1..=LANES_MAX).contains(&lanes)
        && (8 * lanes..=MEMORY_KIB_MAX).contains(&memory)
        && (1..=PASSES_MAX).contains(&passes)
}

/// Whether `text` is unpadded base64 of `min` to `max` characters. One character beyond a multiple
/// of four carries no whole byte.
fn is_base64(text: &str, min: usize, max: usize) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    (min..=max).contains(&text.len()) && text.len() % 4 != 1 && text.bytes().all(letter)
}

/// Bytes of a plain password. Encoders send it in one header line of at most `header_bytes`; a
/// longer one is a file pasted by mistake.
const PASSWORD_BYTES_MAX: usize = 256;

/// Memory of one check: 1 GiB. Above it two attempts at once would push a small machine into swap.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Passes and lanes of one check, each far above any recommendation (RFC 9106 section 4: 1 to 3
/// passes, 4 lanes). Beyond them a sign-in would take longer than an encoder waits.
const PASSES_MAX: u32 = 64;
/// See [`PASSES_MAX`].
const LANES_MAX: u32 = 64;

/// Passwords that every scanner tries first: those of the example configurations of this family of
/// servers (`hackme` is Icecast's), and the names of the roles.
const FAMOUS: &[&str] = &[
    "hackme",
    "hackmemore",
    "changeme",
    "changeit",
    "password",
    "passw0rd",
    "secret",
    "letmein",
    "admin",
    "source",
    "relay",
    "icecast",
    "shoutcast",
    "floe",
    "radio",
    "default",
    "qwerty",
    "1234",
    "12345",
    "123456",
    "12345678",
    "123456789",
];

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0$\
                        MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";

    #[test]
    fn a_password_is_plain_and_a_hash_is_recognised() {
        assert_eq!(Secret::parse("correct horse"), Ok(Secret::Plain("correct horse".to_owned())));
        assert_eq!(Secret::parse(HASH), Ok(Secret::Argon2(HASH.to_owned())));
        let old = HASH.replace("$v=19", "");
        assert_eq!(Secret::parse(&old), Ok(Secret::Argon2(old.clone())));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        for secret in [Secret::Plain("correct horse".to_owned()), Secret::Argon2(HASH.to_owned())] {
            let shown = format!("{secret:?}");
            assert!(!shown.contains("horse") && !shown.contains("m=19456"), "{shown}");
        }
    }

    #[test]
    fn empty_famous_and_unprintable_passwords_are_refused() {
        assert_eq!(Secret::parse(""), Err(Rule::PasswordEmpty));
        assert_eq!(Secret::parse("hackme"), Err(Rule::PasswordFamous));
        assert_eq!(Secret::parse("ChangeMe"), Err(Rule::PasswordFamous));
        assert_eq!(Secret::parse("a\nb"), Err(Rule::PasswordText));
        assert_eq!(Secret::parse(&"x".repeat(257)), Err(Rule::PasswordText));
        assert!(Secret::parse(&"x".repeat(256)).is_ok());
    }

    #[test]
    fn a_hash_cut_anywhere_is_never_taken_for_a_password() {
        for end in "$argon2".len()..HASH.len() {
            let cut = Secret::parse(&HASH[..end]);
            assert!(matches!(cut, Err(Rule::PasswordHash) | Ok(Secret::Argon2(_))), "{end}");
        }
        assert_eq!(Secret::parse(&HASH[..HASH.len() - 40]), Err(Rule::PasswordHash));
    }

    #[test]
    fn hashes_of_wrong_form_or_ruinous_cost_are_refused() {
        for (from, to) in [
            ("argon2id", "argon2x"),
            ("v=19", "v=18"),
            ("m=19456", "m=7"),
            ("m=19456", "m=1048577"),
            ("m=19456", "m=+19456"),
            ("m=19456", "m="),
            ("t=2", "t=0"),
            ("t=2,p=1", "p=1,t=2"),
            ("p=1", "p=1,x=1"),
            (",p=1", ""),
            ("p=1", "p=4294967296"),
            ("c29tZXNhbHRzYWx0", "c29t=Q"),
            ("$c29t", "$$c29t"),
        ] {
            let broken = HASH.replace(from, to);
            assert_ne!(broken, HASH);
            assert_eq!(Secret::parse(&broken), Err(Rule::PasswordHash), "{broken}");
        }
    }
}
