//! What this room's tests share: made-up streams, and a caller that keeps the bytes not yet taken
//! as the source core does. Tests only.

use super::{Framer, Step, Tags, UNIT_BYTES_MAX};

/// What a framer said of a whole stream, with neighbouring pieces of one kind put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Place and length of every frame.
    pub(super) frames: Vec<(usize, usize)>,
    /// Duration of every frame.
    pub(super) durations_us: Vec<u32>,
    /// Places of the bytes called tags and junk.
    pub(super) tags: Vec<(usize, usize)>,
    /// See `tags`.
    pub(super) junk: Vec<(usize, usize)>,
    /// Everything that goes to those who listen from the beginning.
    pub(super) out: Vec<u8>,
    /// Every preamble, and from which place of `out` on it holds.
    pub(super) heads: Vec<(usize, Vec<u8>)>,
    /// Places in `out` where a player can start.
    pub(super) starts: Vec<usize>,
    /// What the stream said is playing.
    pub(super) told: Vec<Tags>,
    /// Bytes passed on unframed.
    pub(super) passed: usize,
    /// Bytes that were waiting for more at the end.
    pub(super) left: usize,
}

/// Feeds `stream` to `framer` in pieces whose lengths `piece` gives, and keeps the promises of
/// [`Framer::step`] under watch.
pub(super) fn hear(framer: &mut Framer, stream: &[u8], mut piece: impl FnMut() -> usize) -> Heard {
    let mut heard = Heard::default();
    let (mut taken, mut here) = (0, 0);
    while here < stream.len() {
        here = stream.len().min(here + piece().max(1));
        loop {
            let input = &stream[taken..here];
            let step = framer.step(input);
            let bytes = step.taken();
            if step == Step::More {
                assert!(input.len() < UNIT_BYTES_MAX, "more wanted of {}", input.len());
                break;
            }
            let least = usize::from(!matches!(step, Step::Head { .. }));
            assert!((least..=input.len()).contains(&bytes), "{step:?} of {}", input.len());
            heard.note(step, taken, &input[..bytes], framer);
            taken += bytes;
        }
    }
    heard.left = stream.len() - taken;
    heard
}

/// Feeds `stream` at once, byte by byte and in uneven pieces, checks that all say the same, and
/// gives what they said with the framer that said it.
pub(super) fn hear_every_way(content_type: &str, stream: &[u8]) -> (Heard, Framer) {
    let mut at_once = Framer::for_content_type(content_type);
    let heard = hear(&mut at_once, stream, || stream.len());
    let mut bytewise = Framer::for_content_type(content_type);
    assert_eq!(hear(&mut bytewise, stream, || 1), heard, "byte by byte");
    let mut uneven = Framer::for_content_type(content_type);
    let mut random = Xorshift(0x9E37_79B9);
    assert_eq!(hear(&mut uneven, stream, || random.below(1_400)), heard, "in uneven pieces");
    for other in [&bytewise, &uneven] {
        assert_eq!(other.counters(), at_once.counters());
        assert_eq!(other.facts(), at_once.facts());
        assert_eq!(other.gave_up(), at_once.gave_up());
    }
    (heard, at_once)
}

impl Heard {
    fn note(&mut self, step: Step, at: usize, input: &[u8], framer: &mut Framer) {
        match step {
            Step::More => {}
            Step::Frame { bytes, .. } if framer.gave_up() => {
                self.passed += bytes;
                self.out.extend_from_slice(input);
            }
            Step::Frame { bytes, duration_us, starts, rewritten } => {
                self.frames.push((at, bytes));
                self.durations_us.push(duration_us);
                if starts {
                    self.starts.push(self.out.len());
                }
                self.out.extend_from_slice(if rewritten { framer.written() } else { input });
            }
            Step::Head { .. } => {
                self.heads.push((self.out.len(), framer.preamble().to_vec()));
                self.out.extend_from_slice(framer.written());
            }
            Step::Tag { bytes } => join(&mut self.tags, at, bytes),
            Step::Junk { bytes } => join(&mut self.junk, at, bytes),
        }
        self.told.extend(framer.take_tags());
    }
}

fn join(stretches: &mut Vec<(usize, usize)>, at: usize, bytes: usize) {
    match stretches.last_mut() {
        Some((start, length)) if *start + *length == at => *length += bytes,
        _ => stretches.push((at, bytes)),
    }
}

/// Marsaglia's xorshift with 64 bits: the same bytes in every run.
pub(super) struct Xorshift(pub(super) u64);

impl Xorshift {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A frame of `bytes` that begins with `header` and goes on with random bytes, none of which has
/// all bits set: no header can begin in it.
pub(super) fn frame(header: &[u8], bytes: usize, random: &mut Xorshift) -> Vec<u8> {
    let mut frame = header.to_vec();
    frame.extend(random.bytes(bytes - header.len()).iter().map(|byte| byte & 0x7F));
    frame
}

/// Layer III at 44.1 kHz, 128 kbit/s, joint stereo, with the padding an encoder would set.
pub(super) fn mp3_frames(count: usize) -> Vec<Vec<u8>> {
    let mut random = Xorshift(0xD1B5_4A32);
    // 128,000 bit/s * 1,152 / 44,100 / 8 = 417 + 42,300 / 44,100 bytes.
    let mut owed = 0;
    let mut next = || {
        owed += 42_300;
        let padding = owed / 44_100;
        owed %= 44_100;
        let header = [0xFF, 0xFB, 0x90 | (padding as u8) << 1, 0x64];
        frame(&header, 417 + padding, &mut random)
    };
    (0..count).map(|_| next()).collect()
}

/// MPEG-4 AAC LC at 48 kHz in stereo, without CRC, frames of 200 to 599 bytes.
pub(super) fn adts_frames(count: usize) -> Vec<Vec<u8>> {
    let mut random = Xorshift(0xC0FF_EE11);
    let mut next = || {
        let bytes = 200 + random.below(400);
        frame(&adts_header(bytes, 0), bytes, &mut random)
    };
    (0..count).map(|_| next()).collect()
}

/// Header of a frame as [`adts_frames`] has them, with `blocks_less_one` for its last field.
pub(super) fn adts_header(bytes: usize, blocks_less_one: u8) -> [u8; 7] {
    // 13 bits of length lie across bytes 3, 4 and 5; the buffer's fullness is all set: variable
    // rate.
    let [.., b3, b4, b5] = ((bytes as u32) << 5).to_be_bytes();
    [0xFF, 0xF1, 0x4C, 0x80 | b3, b4, b5 | 0x1F, 0xFC | blocks_less_one]
}
