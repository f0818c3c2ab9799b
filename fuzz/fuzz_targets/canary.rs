//! The target that must fail: a panic behind a few comparisons that blind luck would need centuries
//! to meet. `fuzz/run` fails when this one survives, because then coverage or comparison feedback
//! is not working and the silence of the other targets means nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((magic, rest)) = input.split_first_chunk::<4>() else { return };
    if u32::from_be_bytes(*magic) != 0x49_43_45_21 {
        return;
    }
    let Some((length, rest)) = rest.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_be_bytes(*length));
    if length == rest.len() && rest.contains(&b'\n') && rest.ends_with(b"canary") {
        panic!("the canary was found, as it must be");
    }
});
