//! The listener's side of ICY metadata: after every `icy-metaint` bytes of audio stands one byte,
//! the length of a block in units of 16 bytes, then the block. Sans-IO; keeps at most one block.

use crate::outcome::IcyTally;

/// Takes a response body apart into audio and metadata blocks.
#[derive(Debug)]
pub struct IcyReader {
    interval: usize,
    audio_left: usize,
    block_left: usize,
    block: Vec<u8>,
    /// The number of the last numbered title.
    last_number: Option<u64>,
}

/// What a numbered title of `publish --titles-every` begins with.
const NUMBERED: &str = "floe-loadtest ";

/// The title that carries `number`.
pub fn numbered_title(number: u64) -> String {
    format!("{NUMBERED}{number}")
}

/// The number that a metadata block's title carries.
fn number_of(block: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(block).ok()?;
    let title = text.strip_prefix("StreamTitle='")?.split('\'').next()?;
    title.strip_prefix(NUMBERED)?.parse().ok()
}

impl IcyReader {
    /// `interval` is the response's `icy-metaint` in bytes; `None` for zero, which says nothing.
    pub fn new(interval: u32) -> Option<Self> {
        let interval = usize::try_from(interval).ok().filter(|&bytes| bytes > 0)?;
        Some(Self {
            interval,
            audio_left: interval,
            block_left: 0,
            block: Vec::new(),
            last_number: None,
        })
    }

    /// Takes the next bytes of the body, in any cut, and hands the audio in them to `audio`.
    pub fn push(&mut self, mut bytes: &[u8], tally: &mut IcyTally, mut audio: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            if self.block_left > 0 {
                let (part, rest) = bytes.split_at(self.block_left.min(bytes.len()));
                self.block.extend_from_slice(part);
                self.block_left -= part.len();
                bytes = rest;
                if self.block_left == 0 {
                    tally.titles += 1;
                    tally.malformed += u64::from(!is_well_formed(&self.block));
                    self.note_number(tally);
                    self.block.clear();
                }
            } else if self.audio_left > 0 {
                let (part, rest) = bytes.split_at(self.audio_left.min(bytes.len()));
                audio(part);
                self.audio_left -= part.len();
                bytes = rest;
            } else {
                tally.blocks += 1;
                self.block_left = usize::from(bytes[0]) * 16;
                self.audio_left = self.interval;
                bytes = &bytes[1..];
            }
        }
    }
}

impl IcyReader {
    /// Within one connection the numbers of titles may not fall; they may be passed over or repeat.
    fn note_number(&mut self, tally: &mut IcyTally) {
        let Some(number) = number_of(&self.block) else { return };
        tally.numbered += 1;
        tally.backwards += u64::from(self.last_number.is_some_and(|last| number < last));
        self.last_number = Some(number);
    }
}

/// A block is `Key='value';` one or more times, filled up with NULs. Audio that slipped off the
/// grid fails this in nearly every case.
fn is_well_formed(block: &[u8]) -> bool {
    let text_end = block.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let text = &block[..text_end];
    text.starts_with(b"Stream") && text.ends_with(b"';") && !text.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(interval: usize) -> (Vec<u8>, Vec<u8>) {
        let audio: Vec<u8> = (0..100u8).cycle().take(interval * 4 + 7).collect();
        let mut wire = Vec::new();
        for (index, part) in audio.chunks(interval).enumerate() {
            if index > 0 {
                let title = if index == 2 {
                    &b"StreamTitle='A - B';\0\0\0\0\0\0\0\0\0\0\0\0"[..]
                } else {
                    b""
                };
                wire.push((title.len() / 16) as u8);
                wire.extend_from_slice(title);
            }
            wire.extend_from_slice(part);
        }
        (wire, audio)
    }

    fn read(reader: &mut IcyReader, wire: &[u8], tally: &mut IcyTally, out: &mut Vec<u8>) {
        reader.push(wire, tally, |part| out.extend_from_slice(part));
    }

    #[test]
    fn audio_comes_out_whole_however_the_body_is_cut() {
        let (wire, audio) = body(50);
        for cut in 0..=wire.len() {
            let (mut tally, mut out) = (IcyTally::default(), Vec::new());
            let mut reader = IcyReader::new(50).unwrap();
            read(&mut reader, &wire[..cut], &mut tally, &mut out);
            read(&mut reader, &wire[cut..], &mut tally, &mut out);
            assert_eq!(out, audio);
            assert_eq!((tally.blocks, tally.titles, tally.malformed), (4, 1, 0));
        }
        let (mut tally, mut out) = (IcyTally::default(), Vec::new());
        let mut reader = IcyReader::new(50).unwrap();
        wire.chunks(1).for_each(|byte| read(&mut reader, byte, &mut tally, &mut out));
        assert_eq!((out, tally.titles), (audio, 1));
    }

    #[test]
    fn titles_that_count_down_are_backwards() {
        let mut wire = Vec::new();
        for number in [1, 2, 2, 9, 8, 10] {
            let mut block = format!("StreamTitle='{}';", numbered_title(number)).into_bytes();
            block.resize(block.len().next_multiple_of(16), 0);
            wire.extend_from_slice(b"xx");
            wire.push((block.len() / 16) as u8);
            wire.extend_from_slice(&block);
        }
        wire.extend_from_slice(b"xx\x01StreamTitle='x';");
        let (mut tally, mut out) = (IcyTally::default(), Vec::new());
        read(&mut IcyReader::new(2).unwrap(), &wire, &mut tally, &mut out);
        assert_eq!((tally.titles, tally.numbered, tally.backwards), (7, 6, 1));
        assert_eq!(tally.malformed, 0);
    }

    #[test]
    fn a_grid_that_is_off_shows_as_malformed_blocks() {
        let (wire, _) = body(50);
        let (mut tally, mut out) = (IcyTally::default(), Vec::new());
        read(&mut IcyReader::new(47).unwrap(), &wire, &mut tally, &mut out);
        assert_eq!(tally.malformed, tally.titles);
        assert!(IcyReader::new(0).is_none());
    }
}
