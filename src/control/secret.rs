//! Passwords: made at the first start, compared in constant time, hashed with argon2id.

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Argon2, PasswordHash};
use subtle::ConstantTimeEq as _;

/// Letters and digits of a made password, those left out that look like another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789x";

/// Characters of a made password: 24 of 32 are 120 bits.
const PASSWORD_LENGTH: usize = 24;

/// A new random password.
pub fn random_password() -> std::io::Result<String> {
    let mut bytes = [0_u8; PASSWORD_LENGTH];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

/// A random number, for seeds.
pub fn random_seed() -> std::io::Result<u64> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Whether two strings are equal, in time that does not depend on where they differ.
pub fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// The argon2id hash of a password, as a PHC string for the configuration.
pub fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether `password` has the hash `phc`. Takes tens of milliseconds of CPU: never on a core.
pub fn matches_hash(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc)
        .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_password_only() {
        let phc = hash("correct horse").expect("argon2 with defaults");
        assert!(phc.starts_with("$argon2id$"));
        assert!(matches_hash("correct horse", &phc));
        assert!(!matches_hash("correct horsf", &phc));
        assert!(!matches_hash("correct horse", "$argon2id$broken"));
    }

    #[test]
    fn made_passwords_differ_and_need_no_quoting() {
        let (one, two) = (random_password().expect("entropy"), random_password().expect("entropy"));
        assert_ne!(one, two);
        assert_eq!(one.len(), PASSWORD_LENGTH);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn comparison_sees_length_and_content() {
        assert!(equal("secret", "secret"));
        assert!(!equal("secret", "secreT") && !equal("secret", "secret1") && !equal("", "x"));
    }
}
