//! `Authorization` values: what is accepted is bounded and printable, and no password is shown.
#![no_main]

use floe::proto::credentials::{CREDENTIALS_BYTES_MAX, basic};
use libfuzzer_sys::fuzz_target;

/// A byte of base64 becomes at most this many of UTF-8: three characters of windows-1252 of up to
/// three bytes each from four, rounded up.
const GROWTH_MAX: usize = 3;

fuzz_target!(|input: &[u8]| {
    let Ok(credentials) = basic(input) else { return };
    let bytes = credentials.user.len() + credentials.password.len();
    assert!(input.len() <= CREDENTIALS_BYTES_MAX && bytes <= input.len() * GROWTH_MAX);
    assert!(!credentials.user.chars().any(char::is_control), "{:?}", credentials.user);
    // Made of the name alone: a password may look like any part of what is shown.
    let shown = format!("Credentials {{ user: {:?}, .. }}", credentials.user);
    assert_eq!(format!("{credentials:?}"), shown);
});
