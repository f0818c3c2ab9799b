//! Request heads: where they end does not depend on how they came, and one that is accepted holds
//! nothing that could end a line of a log or lead out of the tree of mounts.
#![no_main]

use floe::proto::http::{RequestHead, head_end};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let whole = head_end(input, 0);
    let grown = (1..=input.len()).find_map(|bytes| head_end(&input[..bytes], bytes - 1));
    assert_eq!(whole, grown, "the end of a head, found at once and byte by byte");
    let Some(end) = whole else { return };
    let mut buf = input[..end].to_vec();
    let head = match RequestHead::parse(&mut buf) {
        Ok(head) => head,
        Err(fault) => {
            assert!((400..600).contains(&fault.status()) && !fault.text().is_empty());
            return;
        }
    };
    assert!(head.path.starts_with('/') && head.path.len() <= end, "{:?}", head.path);
    assert!(!head.path.chars().any(char::is_control), "{:?}", head.path);
    assert!(!head.path.split('/').any(|part| part == ".." || part == "."), "{:?}", head.path);
    assert!(!head.target.chars().any(|c| c.is_control() || c == ' '), "{:?}", head.target);
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !value.iter().any(|byte| b"\r\n\0".contains(byte)));
        assert!(head.header(name).is_some() && head.text(name).is_some());
    }
    let _ = (head.keep_alive(), head.wants_icy(), head.expects_continue(), head.host());
    if let Err(fault) = head.body() {
        assert!((400..600).contains(&fault.status()));
    }
});
