//! The chunked transfer coding (RFC 9112, section 7.1) as a source's body comes in it: takes
//! framing away, incrementally, and copies nothing. It keeps no byte of the input, so its memory
//! does not depend on what a peer sends.

use std::ops::Range;

/// Bytes of one size line, its extensions included. Senders write under 20; an extension is
/// ignored, so a long one only makes work.
pub const SIZE_LINE_BYTES_MAX: usize = 256;

/// Bytes of the trailer section. Liquidsoap, the one chunking encoder seen, sends none.
pub const TRAILER_BYTES_MAX: usize = 4096;

/// The largest chunk size: what fits a signed 64-bit length, the smallest type another reader of
/// the same bytes could be using.
pub const CHUNK_BYTES_MAX: u64 = i64::MAX as u64;

/// What the start of the input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkStep {
    /// Body bytes, at this range of the input; never empty. The next step begins at its end.
    Data(Range<usize>),
    /// The whole input was framing, or there was none: the next step takes bytes that follow it.
    More,
    /// The body is over. `used` bytes of the input belonged to it, the rest to the next request.
    End {
        /// Bytes of the input that are done with.
        used: usize,
    },
    /// The framing is wrong and nothing after it can be trusted. Every further step says the same.
    Fault(ChunkFault),
}

/// How chunk framing can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkFault {
    /// A size line without a hexadecimal number, or with bytes that cannot be in one.
    Size,
    /// A size over [`CHUNK_BYTES_MAX`].
    TooLarge,
    /// A size line over [`SIZE_LINE_BYTES_MAX`] or trailers over [`TRAILER_BYTES_MAX`].
    TooLong,
    /// The chunk was not followed by CR LF where its size said it ends: the size lied.
    Unterminated,
    /// A trailer section that is not lines of text.
    Trailer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size line.
    Size { size: u64, digits: bool },
    /// Behind the digits, in blanks or an extension.
    Extension { size: u64 },
    /// Behind the CR of a size line.
    SizeFeed { size: u64 },
    /// Within a chunk.
    Data { left: u64 },
    /// Behind a chunk.
    DataReturn,
    /// Behind a chunk and its CR.
    DataFeed,
    /// At the start of a trailer line, which ends the body if it is empty.
    TrailerStart,
    /// Within a trailer line.
    Trailer,
    /// Behind the CR of a trailer line; `last` if the line was empty.
    TrailerFeed { last: bool },
    /// Behind the body.
    Done,
    /// Behind a fault.
    Broken(ChunkFault),
}

/// A decoder for one body. Line ends must be CR LF: unlike request heads, no encoder was seen to
/// send bare line feeds here, and lenience about chunk framing is how requests are smuggled.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of the present size line or trailer section so far.
    line_bytes: usize,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new() -> Self {
        Self { state: State::Size { size: 0, digits: false }, line_bytes: 0 }
    }

    /// Whether the body ended in order. If the connection closes before, the upload was cut.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Looks at the start of `input`, which follows what earlier steps took, up to the first piece
    /// of body. However the input is cut, the same body comes out.
    pub fn step(&mut self, input: &[u8]) -> ChunkStep {
        let mut at = 0;
        loop {
            match self.state {
                State::Done => return ChunkStep::End { used: at },
                State::Broken(fault) => return ChunkStep::Fault(fault),
                State::Data { left } if at < input.len() => {
                    let waiting = input.len() - at;
                    let taken = usize::try_from(left).map_or(waiting, |left| left.min(waiting));
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::DataReturn } else { State::Data { left } };
                    return ChunkStep::Data(at..at + taken);
                }
                _ => {}
            }
            let Some(&byte) = input.get(at) else { return ChunkStep::More };
            at += 1;
            self.state = self.after(byte).unwrap_or_else(State::Broken);
        }
    }

    /// The state behind one byte of framing.
    fn after(&mut self, byte: u8) -> Result<State, ChunkFault> {
        self.count_framing()?;
        match self.state {
            State::Size { size, digits } => size_byte(size, digits, byte),
            State::Extension { size } => match byte {
                b'\r' => Ok(State::SizeFeed { size }),
                b'\t' | b' '..=b'~' | 0x80.. => Ok(State::Extension { size }),
                _ => Err(ChunkFault::Size),
            },
            State::SizeFeed { size } => match (byte, size) {
                (b'\n', 0) => Ok(State::TrailerStart),
                (b'\n', left) => Ok(State::Data { left }),
                _ => Err(ChunkFault::Size),
            },
            State::DataReturn if byte == b'\r' => Ok(State::DataFeed),
            State::DataFeed if byte == b'\n' => Ok(State::Size { size: 0, digits: false }),
            State::DataReturn | State::DataFeed => Err(ChunkFault::Unterminated),
            State::TrailerStart if byte == b'\r' => Ok(State::TrailerFeed { last: true }),
            State::TrailerStart | State::Trailer => match byte {
                b'\r' => Ok(State::TrailerFeed { last: false }),
                b'\t' | b' '..=b'~' | 0x80.. => Ok(State::Trailer),
                _ => Err(ChunkFault::Trailer),
            },
            State::TrailerFeed { last } => match (byte, last) {
                (b'\n', true) => Ok(State::Done),
                (b'\n', false) => Ok(State::TrailerStart),
                _ => Err(ChunkFault::Trailer),
            },
            // `step` handles these before it asks for a byte.
            state @ (State::Data { .. } | State::Done | State::Broken(_)) => Ok(state),
        }
    }

    /// Counts a byte of framing against the ceiling of the part it stands in.
    fn count_framing(&mut self) -> Result<(), ChunkFault> {
        let bytes_max = match self.state {
            State::Size { .. } | State::Extension { .. } | State::SizeFeed { .. } => {
                SIZE_LINE_BYTES_MAX
            }
            State::TrailerStart | State::Trailer | State::TrailerFeed { .. } => TRAILER_BYTES_MAX,
            // The next part counts from zero.
            _ => {
                self.line_bytes = 0;
                return Ok(());
            }
        };
        self.line_bytes += 1;
        if self.line_bytes > bytes_max { Err(ChunkFault::TooLong) } else { Ok(()) }
    }
}

fn size_byte(size: u64, digits: bool, byte: u8) -> Result<State, ChunkFault> {
    match (byte, digits) {
        (b'\r', true) => Ok(State::SizeFeed { size }),
        // Blanks before the line end are old but allowed to be read over (RFC 9112, 7.1.1).
        (b';' | b' ' | b'\t', true) => Ok(State::Extension { size }),
        _ => {
            let digit = char::from(byte).to_digit(16).ok_or(ChunkFault::Size)?;
            let grown = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
            match grown {
                Some(size) if size <= CHUNK_BYTES_MAX => Ok(State::Size { size, digits: true }),
                _ => Err(ChunkFault::TooLarge),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Feeds `body` in pieces of `piece_bytes`; answers what came out and how it ended, with the
    /// bytes that were not part of the body.
    fn decode(body: &[u8], piece_bytes: usize) -> (Vec<u8>, ChunkStep, usize) {
        let mut decoder = ChunkedDecoder::new();
        let mut data = Vec::new();
        let mut taken = 0;
        for piece in body.chunks(piece_bytes.max(1)) {
            let mut at = 0;
            loop {
                match decoder.step(&piece[at..]) {
                    ChunkStep::Data(range) => {
                        assert!(!range.is_empty());
                        data.extend_from_slice(&piece[at..][range.clone()]);
                        at += range.end;
                    }
                    ChunkStep::More => break,
                    ChunkStep::End { used } => {
                        return (data, ChunkStep::End { used: 0 }, taken + at + used);
                    }
                    fault @ ChunkStep::Fault(_) => return (data, fault, 0),
                }
            }
            taken += piece.len();
        }
        (data, ChunkStep::More, taken)
    }

    const BODY: &[u8] = b"4\r\nWiki\r\n6;name=\"x\" \r\npedia \r\nE \r\nin \r\n\r\nchunks.\r\n\
          0\r\nA: b\r\nC: d\r\n\r\n";

    #[test]
    fn a_body_comes_out_whole_and_its_end_is_found() {
        let mut wire = BODY.to_vec();
        wire.extend_from_slice(b"GET /next");
        let (data, end, used) = decode(&wire, wire.len());
        assert_eq!(data, b"Wikipedia in \r\n\r\nchunks.");
        assert_eq!((end, used), (ChunkStep::End { used: 0 }, BODY.len()));
    }

    #[test]
    fn pieces_of_any_size_give_the_same_body() {
        let whole = decode(BODY, BODY.len());
        for piece_bytes in 1..BODY.len() {
            assert_eq!(decode(BODY, piece_bytes), whole, "pieces of {piece_bytes}");
        }
    }

    #[test]
    fn a_body_cut_at_any_byte_is_not_done() {
        for cut in 0..BODY.len() {
            let mut decoder = ChunkedDecoder::new();
            let mut at = 0;
            while let ChunkStep::Data(range) = decoder.step(&BODY[at..cut]) {
                at += range.end;
            }
            assert!(!decoder.is_done(), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_framing_is_a_fault_and_stays_one() {
        let long = format!("1;{}\r\n", "x".repeat(SIZE_LINE_BYTES_MAX));
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(TRAILER_BYTES_MAX / 6 + 1));
        for (wire, expected) in [
            (&b"\r\n"[..], ChunkFault::Size),
            (b"4\nWiki\r\n", ChunkFault::Size),
            (b"-1\r\n", ChunkFault::Size),
            (b"0x4\r\n", ChunkFault::Size),
            (b"4;a\x00\r\n", ChunkFault::Size),
            (b"4\rWiki", ChunkFault::Size),
            (b"4\r\nWikipedia\r\n", ChunkFault::Unterminated),
            (b"4\r\nWik\r\n0\r\n\r\n", ChunkFault::Unterminated),
            (b"8000000000000000\r\n", ChunkFault::TooLarge),
            (b"10000000000000000\r\n", ChunkFault::TooLarge),
            (b"0\r\nA\nB\r\n\r\n", ChunkFault::Trailer),
            (long.as_bytes(), ChunkFault::TooLong),
            (trailers.as_bytes(), ChunkFault::TooLong),
        ] {
            let (_, end, _) = decode(wire, wire.len());
            assert_eq!(end, ChunkStep::Fault(expected), "{}", wire.escape_ascii());
            assert_eq!(decode(wire, 1).1, end, "{} byte by byte", wire.escape_ascii());
        }
        let mut decoder = ChunkedDecoder::new();
        assert_eq!(decoder.step(b"x"), ChunkStep::Fault(ChunkFault::Size));
        assert_eq!(decoder.step(b"1\r\na"), ChunkStep::Fault(ChunkFault::Size));
    }

    #[test]
    fn the_largest_chunk_is_accepted() {
        assert_eq!(decode(b"7fffffffffffffff\r\nabc", 99).0, b"abc");
    }

    #[test]
    fn many_size_lines_do_not_add_up_to_a_long_one() {
        let mut wire = b"1;note=x\r\na\r\n".repeat(100);
        wire.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(decode(&wire, 7).0.len(), 100);
    }

    proptest! {
        #[test]
        fn any_chunking_of_any_body_decodes_to_it(
            chunks in vec(vec(any::<u8>(), 1..40), 0..8),
            piece_bytes in 1_usize..50,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (data, end, _) = decode(&wire, piece_bytes);
            prop_assert_eq!(end, ChunkStep::End { used: 0 });
            prop_assert_eq!(data, chunks.concat());
        }

        #[test]
        fn any_bytes_in_any_pieces_end_alike(
            bytes in "[0-9a-f;\r\n ]{0,40}", piece_bytes in 1_usize..9,
        ) {
            let whole = decode(bytes.as_bytes(), 99);
            let pieces = decode(bytes.as_bytes(), piece_bytes);
            prop_assert_eq!(whole.0, pieces.0);
            prop_assert_eq!(whole.1, pieces.1);
        }
    }
}
