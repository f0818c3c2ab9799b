//! AAC in LATM: whatever comes, the framer's promises hold.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| floe_fuzz::check_framer("audio/mp4a-latm", input));
