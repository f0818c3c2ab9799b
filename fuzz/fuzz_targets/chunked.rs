//! Chunked bodies: the same body and the same end come out however the input was cut.
#![no_main]

use floe::proto::chunked::{ChunkFault, ChunkStep, ChunkedDecoder};
use libfuzzer_sys::fuzz_target;

/// How decoding went: the body, and where it ended or what was wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decoded {
    body: Vec<u8>,
    end: Option<usize>,
    fault: Option<ChunkFault>,
}

fn decode(input: &[u8], piece: usize) -> Decoded {
    let mut decoder = ChunkedDecoder::new();
    let mut decoded = Decoded::default();
    for (index, part) in input.chunks(piece).enumerate() {
        let mut at = 0;
        loop {
            match decoder.step(&part[at..]) {
                ChunkStep::Data(range) => {
                    assert!(!range.is_empty(), "a piece of body is never empty");
                    decoded.body.extend_from_slice(&part[at..][range.clone()]);
                    at += range.end;
                }
                ChunkStep::More => break,
                ChunkStep::End { used } => {
                    decoded.end = Some(index * piece + at + used);
                    assert!(decoder.is_done());
                    return decoded;
                }
                ChunkStep::Fault(fault) => {
                    assert_eq!(decoder.step(b"0\r\n\r\n"), ChunkStep::Fault(fault), "faults stay");
                    decoded.fault = Some(fault);
                    return decoded;
                }
            }
        }
    }
    assert!(!decoder.is_done());
    decoded
}

fuzz_target!(|input: &[u8]| {
    let whole = decode(input, input.len().max(1));
    assert!(whole.body.len() <= input.len());
    assert_eq!(whole, decode(input, 1), "at once and byte by byte");
    assert_eq!(whole, decode(input, 7), "at once and in pieces");
});
