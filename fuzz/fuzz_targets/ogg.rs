//! Ogg: whatever comes, the framer's promises hold. Unless the first byte is odd, what begins like
//! a page gets the checksum it needs: mutations would hardly ever reach what stands behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut input = input.to_vec();
    if input.first().is_some_and(|kind| kind % 2 == 0) {
        let mut at = 1;
        while at + 27 <= input.len() {
            at += stamp(&mut input[at..]).unwrap_or(1);
        }
    }
    floe_fuzz::check_framer("application/ogg", &input);
});

/// Gives the page at the start of `bytes`, if a whole one stands there, its checksum; and tells its
/// length.
fn stamp(bytes: &mut [u8]) -> Option<usize> {
    let segments = usize::from(*bytes.get(26)?);
    let lengths = bytes.get(27..27 + segments)?;
    let page_bytes =
        27 + segments + lengths.iter().map(|&length| usize::from(length)).sum::<usize>();
    let page = bytes.get_mut(..page_bytes).filter(|page| page.starts_with(b"OggS\0"))?;
    page[22..26].fill(0);
    let sum = page.iter().fold(0_u32, |sum, &byte| {
        let shift = |sum: u32, _| sum << 1 ^ if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
        (0..8).fold(sum ^ u32::from(byte) << 24, shift)
    });
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    Some(page_bytes)
}
