//! Queries: bounded in number and size, and a look-up finds the first of its name.
#![no_main]

use floe::proto::query::{PAIRS_MAX, pairs, value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let all: Vec<_> = pairs(input).collect();
    assert!(all.len() <= PAIRS_MAX);
    assert!(
        all.iter().map(|pair| pair.name.len() + pair.value.len()).sum::<usize>() <= input.len()
    );
    for pair in &all {
        let Ok(name) = std::str::from_utf8(&pair.name) else { continue };
        let first = all.iter().find(|other| other.name == pair.name).map(|other| &other.value);
        assert_eq!(value(input, name).as_ref(), first);
    }
});
