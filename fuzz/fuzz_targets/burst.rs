//! A listener's wish for a burst: any head is read without harm, and a bare number of seconds means
//! the same in the query and in the header.
#![no_main]

use floe::base::Burst;
use floe::proto::burst::{BURST_HEADER, burst_wanted};
use floe::proto::http::RequestHead;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let in_query = wanted(&[b"GET /live?burst=", input, b" HTTP/1.1\r\n\r\n"].concat());
    let header = format!("GET /live HTTP/1.1\r\n{BURST_HEADER}: ");
    let in_header = wanted(&[header.as_bytes(), input, b"\r\n\r\n"].concat());
    if input.iter().all(u8::is_ascii_alphanumeric) && !input.is_empty() {
        assert_eq!(in_query, in_header, "neither needs an escape");
        if let Some(Some(Burst::Time(span))) = in_query {
            assert_eq!(span.subsec_nanos() % 1_000_000, 0, "whole milliseconds");
        }
    }
});

/// What a head asks for, if it is one: `Some(None)` for what is refused.
fn wanted(head: &[u8]) -> Option<Option<Burst>> {
    let mut head = head.to_vec();
    let head = RequestHead::parse(&mut head).ok()?;
    Some(burst_wanted(&head).ok().flatten())
}
