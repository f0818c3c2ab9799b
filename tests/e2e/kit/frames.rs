//! A stream that proves where each of its bytes comes from: MP3 frames that carry their number and
//! a filling made of it, and the checker that reads them back.

/// Bytes of one frame: 128 kbit/s at 48 kHz come out even, so there is no padding.
pub const FRAME_BYTES: usize = 384;

/// Playing time of one frame, in microseconds.
pub const FRAME_US: u64 = 24_000;

/// MPEG 1, layer III, no CRC, 128 kbit/s, 48 kHz, stereo.
const HEADER: [u8; 4] = [0xff, 0xfb, 0x94, 0x04];

/// Where the number stands: behind the header and the side information, which is zero and so tells
/// a decoder that the frame is silent and the rest is padding.
const NUMBER_AT: usize = 4 + 32;

/// Bytes of a number, seven bits in each: no byte of a frame looks like a header.
const NUMBER_BYTES: usize = 6;

/// The frame with this number.
pub fn frame(number: u64) -> [u8; FRAME_BYTES] {
    let mut bytes = [0; FRAME_BYTES];
    bytes[..4].copy_from_slice(&HEADER);
    for place in 0..NUMBER_BYTES {
        bytes[NUMBER_AT + place] = (number >> (7 * place)) as u8 & 0x7f;
    }
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for piece in bytes[NUMBER_AT + NUMBER_BYTES..].chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        for (byte, random) in piece.iter_mut().zip(state.to_le_bytes()) {
            *byte = random & 0x7f;
        }
    }
    bytes
}

/// `count` frames from `first` on.
pub fn frames(first: u64, count: u64) -> Vec<u8> {
    (first..first + count).flat_map(frame).collect()
}

/// Reads a stream of frames back: it must begin at a frame, and each frame must be whole and as it
/// was sent. Where a number does not follow the one before it, that is noted as a jump.
#[derive(Debug, Default)]
pub struct Checker {
    /// Bytes of a frame that is not whole yet.
    partial: Vec<u8>,
    /// Whole frames so far.
    pub frames: u64,
    /// The first number and the last.
    pub range: Option<(u64, u64)>,
    /// Last number before and first number after each place where frames are missing.
    pub jumps: Vec<(u64, u64)>,
    /// Jumps that were made within a frame, whose rest is missing.
    pub tears: u64,
}

impl Checker {
    /// Takes the next bytes; an error says where the stream is not what was sent.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.partial.is_empty() && bytes.len() >= FRAME_BYTES {
                let (whole, rest) = bytes.split_at(FRAME_BYTES);
                self.whole(whole)?;
                bytes = rest;
                continue;
            }
            let take = bytes.len().min(FRAME_BYTES - self.partial.len());
            self.partial.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.partial.len() == FRAME_BYTES {
                let whole = std::mem::take(&mut self.partial);
                self.whole(&whole)?;
            }
        }
        Ok(())
    }

    fn whole(&mut self, bytes: &[u8]) -> Result<(), String> {
        let number = number_of(bytes);
        if bytes != frame(number) {
            return self.torn(bytes);
        }
        let (first, last) = self.range.unwrap_or((number, number));
        if self.range.is_some() && number != last + 1 {
            self.jumps.push((last, number));
        }
        self.range = Some((first, number));
        self.frames += 1;
        Ok(())
    }

    /// Bytes that are no whole frame: they may be the start of the next, and then of one further
    /// on. A header begins with a byte that is nowhere else in a frame, so the tear is found
    /// exactly.
    fn torn(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some((_, last)) = self.range else { return Err(format!("no frame: {bytes:02x?}")) };
        let next = frame(last + 1);
        let kept = next.iter().zip(bytes).take_while(|(next, byte)| next == byte).count();
        if kept == 0 || bytes.get(kept) != Some(&HEADER[0]) {
            return Err(format!("behind {:?} comes no frame: {:02x?}", self.range, &bytes[..48]));
        }
        self.tears += 1;
        self.partial.extend_from_slice(&bytes[kept..]);
        Ok(())
    }

    /// The stream ended: what there is of a last frame must be the start of one.
    pub fn finish(&self) -> Result<(), String> {
        let bytes = &self.partial;
        let known = bytes.len() >= NUMBER_AT + NUMBER_BYTES;
        let expected = if known { frame(number_of(bytes)) } else { frame(0) };
        let compared = if known { bytes.len() } else { bytes.len().min(NUMBER_AT) };
        if bytes[..compared] == expected[..compared] {
            return Ok(());
        }
        Err(format!("ends with what is no frame: {bytes:02x?}"))
    }

    /// How many frames are missing within.
    pub fn missing(&self) -> u64 {
        self.jumps.iter().map(|(last, next)| next.saturating_sub(last + 1)).sum()
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    let digits = &bytes[NUMBER_AT..NUMBER_AT + NUMBER_BYTES];
    digits.iter().rev().fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f))
}

#[test]
fn the_checker_finds_what_is_not_as_it_was_sent() {
    let sent = frames(70, 5);
    let checked = |bytes: &[u8], step: usize| {
        let mut checker = Checker::default();
        let fed = bytes.chunks(step).try_for_each(|piece| checker.feed(piece));
        let tears = checker.tears;
        fed.and_then(|()| checker.finish()).map(|()| (checker.frames, checker.jumps, tears))
    };
    for step in [1, 383, 384, 385, 5_000] {
        assert_eq!(checked(&sent, step), Ok((5, vec![], 0)));
        assert_eq!(checked(&sent[..sent.len() - 1], step), Ok((4, vec![], 0)));
        assert!(checked(&sent[1..], step).is_err(), "it does not begin at a frame");
        let mut changed = sent.clone();
        changed[700] ^= 1;
        assert!(checked(&changed, step).is_err(), "one bit is wrong");
        let cut = [&sent[..FRAME_BYTES], &sent[2 * FRAME_BYTES + 9..]].concat();
        assert!(checked(&cut, step).is_err(), "a piece does not begin at a frame");
        let gap = [&sent[..FRAME_BYTES], &sent[3 * FRAME_BYTES..]].concat();
        assert_eq!(checked(&gap, step), Ok((3, vec![(70, 73)], 0)));
        let torn = [&sent[..FRAME_BYTES + 9], &sent[3 * FRAME_BYTES..]].concat();
        assert_eq!(checked(&torn, step), Ok((3, vec![(70, 73)], 1)));
    }
}
