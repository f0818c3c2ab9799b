//! What the two tables of a transport stream say (ISO/IEC 13818-1, 2.4.4.3 and 2.4.4.8): the first
//! program and its map of streams, which of these leads, and its codec. Reads sections that
//! [`super::psi`] found whole. Source core, when a table changes.

use super::psi::SECTION_HEAD_BYTES;

/// Where the map of a program is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The program's number, which its map repeats.
    pub(super) number: u16,
    /// The PID of its map.
    pub(super) map_pid: u16,
}

/// A program, as far as starting and timing need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The PID whose packets carry its clock; the null PID if there is none.
    pub(super) clock_pid: u16,
    /// Its first video.
    pub(super) video: Option<Track>,
    /// Its first audio.
    pub(super) audio: Option<Track>,
}

/// A stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) pid: u16,
    pub(super) codec: Codec,
}

/// The codecs that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Mpeg1,
    Mpeg2,
    Mpeg4,
    H264,
    H265,
    H266,
    Av1,
    /// Layers I to III: only a frame tells which.
    MpegAudio,
    Adts,
    Latm,
    Ac3,
    Eac3,
    Dts,
    Opus,
}

impl Entry {
    /// The first program of a program association section. Number zero is the network's table.
    pub(super) fn first(section: &[u8]) -> Option<Self> {
        let entries = section.get(SECTION_HEAD_BYTES..section.len().checked_sub(CRC_BYTES)?)?;
        let read = |&[n1, n0, p1, p0]: &[u8; 4]| Self {
            number: u16::from_be_bytes([n1, n0]),
            map_pid: u16::from_be_bytes([p1, p0]) & PID,
        };
        entries.as_chunks().0.iter().map(read).find(|entry| entry.number != 0)
    }
}

impl Program {
    /// Reads a program map section; `None` if its lengths lie.
    pub(super) fn read(section: &[u8]) -> Option<Self> {
        let body = section.get(SECTION_HEAD_BYTES..section.len().checked_sub(CRC_BYTES)?)?;
        let (&[c1, c0, l1, l0], rest) = body.split_first_chunk()?;
        let clock_pid = u16::from_be_bytes([c1, c0]) & PID;
        let mut streams = rest.get(length(l1, l0)..)?;
        let mut program = Self { clock_pid, video: None, audio: None };
        while let Some((&[kind, p1, p0, l1, l0], rest)) = streams.split_first_chunk() {
            let (descriptors, rest) = rest.split_at_checked(length(l1, l0))?;
            streams = rest;
            let Some(codec) = Codec::of(kind, descriptors) else { continue };
            let track = Track { pid: u16::from_be_bytes([p1, p0]) & PID, codec };
            let place = if codec.is_video() { &mut program.video } else { &mut program.audio };
            place.get_or_insert(track);
        }
        Some(program)
    }

    /// The stream at whose PES packets a player can start: video, or else audio.
    pub(super) fn leading(&self) -> Option<Track> {
        self.video.or(self.audio)
    }
}

impl Codec {
    /// The codec of a stream of type `kind` (table 2-34, and what ATSC and the industry added), or
    /// of private data with these descriptors.
    fn of(kind: u8, descriptors: &[u8]) -> Option<Self> {
        Some(match kind {
            0x01 => Self::Mpeg1,
            0x02 => Self::Mpeg2,
            0x03 | 0x04 => Self::MpegAudio,
            0x0F => Self::Adts,
            0x10 => Self::Mpeg4,
            0x11 => Self::Latm,
            0x1B => Self::H264,
            0x24 => Self::H265,
            0x33 => Self::H266,
            0x81 => Self::Ac3,
            0x82 | 0x8A => Self::Dts,
            0x87 => Self::Eac3,
            0x06 => return Self::described(descriptors),
            _ => return None,
        })
    }

    /// Private data says what it is by the tag of a descriptor (ETSI EN 300 468, 6.1) or by a
    /// registered format.
    fn described(mut descriptors: &[u8]) -> Option<Self> {
        while let Some((&[tag, bytes], rest)) = descriptors.split_first_chunk() {
            let (body, rest) = rest.split_at_checked(usize::from(bytes))?;
            descriptors = rest;
            match (tag, body) {
                (0x6A, _) => return Some(Self::Ac3),
                (0x7A, _) => return Some(Self::Eac3),
                (0x7B, _) => return Some(Self::Dts),
                (0x05, [b'O', b'p', b'u', b's', ..]) => return Some(Self::Opus),
                (0x05, [b'A', b'V', b'0', b'1', ..]) => return Some(Self::Av1),
                (0x05, [b'A', b'C', b'-', b'3', ..]) => return Some(Self::Ac3),
                (0x05, [b'E', b'A', b'C', b'3', ..]) => return Some(Self::Eac3),
                _ => {}
            }
        }
        None
    }

    fn is_video(self) -> bool {
        use Codec::{Av1, H264, H265, H266, Mpeg1, Mpeg2, Mpeg4};
        matches!(self, Mpeg1 | Mpeg2 | Mpeg4 | H264 | H265 | H266 | Av1)
    }

    /// Its label in [`Facts`](super::super::Facts), if it alone tells.
    pub(super) fn label(self) -> Option<&'static str> {
        Some(match self {
            Self::Mpeg1 => "MPEG-1",
            Self::Mpeg2 => "MPEG-2",
            Self::Mpeg4 => "MPEG-4",
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::H266 => "H.266",
            Self::Av1 => "AV1",
            Self::MpegAudio => return None,
            Self::Adts | Self::Latm => "AAC",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Dts => "DTS",
            Self::Opus => "Opus",
        })
    }

    /// Whether a decoder can start with a PES packet that begins with `body`: it brings parameter
    /// sets or a picture that needs no other. Muxers put these in front, so the first packet's part
    /// is enough. Always so for audio, and for video that is not looked into.
    pub(super) fn starts_with(self, body: &[u8]) -> bool {
        let starts: fn(u8) -> bool = match self {
            // Sequence header (ISO/IEC 13818-2, table 6-1).
            Self::Mpeg1 | Self::Mpeg2 => |code| code == 0xB3,
            // Visual object sequence, or video object layer (14496-2, table 6-3).
            Self::Mpeg4 => |code| code == 0xB0 || code & 0xF0 == 0x20,
            // IDR picture and sequence parameter set (H.264, table 7-1).
            Self::H264 => |header| matches!(header & 0x1F, 5 | 7),
            // Random access pictures, and video and sequence parameter sets (H.265, table 7-1).
            Self::H265 => |header| matches!(header >> 1 & 0x3F, 16..=23 | 32 | 33),
            _ => return true,
        };
        body.windows(4).any(|code| code[..3] == [0, 0, 1] && starts(code[3]))
    }
}

/// 12 bits of a length behind four reserved ones.
fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high, low]) & 0xFFF)
}

const CRC_BYTES: usize = 4;
/// The bits of a PID in its two bytes.
const PID: u16 = 0x1FFF;

#[cfg(test)]
mod tests {
    use super::super::testing::section;
    use super::*;

    fn read(streams: &[u8]) -> Option<Program> {
        Program::read(&section(2, 1, 0, &[&[0xE1, 0x00, 0xF0, 0x00], streams].concat()))
    }

    #[test]
    fn the_first_program_is_found_behind_the_network_table() {
        let entries = [0, 0, 0xE0, 0x10, 0, 7, 0xF0, 0x01, 0, 8, 0xF0, 0x02];
        let first = Entry::first(&section(0, 1, 0, &entries));
        assert_eq!(first, Some(Entry { number: 7, map_pid: 0x1001 }));
        assert_eq!(Entry::first(&section(0, 1, 0, &entries[..4])), None);
        assert_eq!(Entry::first(&[]), None);
    }

    #[test]
    fn the_first_video_leads_and_the_first_audio_stands_beside_it() {
        let program = read(&[
            0x05, 0xE1, 0xFF, 0xF0, 0x00, // private sections
            0x0F, 0xE1, 0x01, 0xF0, 0x03, 0x0A, 0x01, 0x00, // AAC with a descriptor
            0x1B, 0xE1, 0x02, 0xF0, 0x00, // H.264
            0x03, 0xE1, 0x03, 0xF0, 0x00, // MPEG audio
            0x24, 0xE1, 0x04, 0xF0, 0x00, // H.265
        ])
        .unwrap();
        let (aac, h264) =
            (Track { pid: 0x101, codec: Codec::Adts }, Track { pid: 0x102, codec: Codec::H264 });
        assert_eq!(
            (program.clock_pid, program.video, program.audio),
            (0x100, Some(h264), Some(aac))
        );
        assert_eq!(program.leading(), Some(h264));
        let sound = read(&[0x0F, 0xE1, 0x01, 0xF0, 0x00]).unwrap();
        assert_eq!(sound.leading(), Some(aac));
        assert_eq!(read(&[]).unwrap().leading(), None);
    }

    #[test]
    fn private_data_is_what_its_descriptors_say() {
        let codec = |descriptors: &[u8]| {
            let head = [0x06, 0xE1, 0x01, 0xF0, descriptors.len() as u8];
            let program = read(&[&head, descriptors].concat()).unwrap();
            program.leading().map(|track| track.codec)
        };
        assert_eq!(codec(&[0x0A, 1, 0, 0x6A, 1, 0]), Some(Codec::Ac3));
        assert_eq!(codec(&[0x7A, 0]), Some(Codec::Eac3));
        assert_eq!(codec(b"\x05\x04Opus\x7F\x02\x80\x02"), Some(Codec::Opus));
        assert_eq!(codec(b"\x05\x04AV01"), Some(Codec::Av1));
        assert_eq!(codec(b"\x05\x04KLVA"), None);
        assert_eq!(codec(&[]), None);
        assert_eq!(codec(&[0x6A, 9, 0]), None, "longer than its place");
    }

    #[test]
    fn lengths_beyond_the_section_are_no_map() {
        assert_eq!(read(&[0x1B, 0xE1, 0x02, 0xF0, 0x01]), None);
        assert_eq!(Program::read(&section(2, 1, 0, &[0xE1, 0x00, 0xF0, 0x01])), None);
        assert_eq!(Program::read(&section(2, 1, 0, &[0xE1])), None);
        assert_eq!(Program::read(&[]), None);
    }

    #[test]
    fn pictures_that_need_no_other_are_told_by_their_codes() {
        let starts = |codec: Codec, code: u8| codec.starts_with(&[7, 0, 0, 0, 1, code, 9]);
        let all = |codec| (0..=255).filter(|code| starts(codec, *code)).count();
        assert!(starts(Codec::Mpeg2, 0xB3) && all(Codec::Mpeg2) == 1);
        assert!(starts(Codec::H264, 0x67) && starts(Codec::H264, 0x65));
        assert_eq!(all(Codec::H264), 2 * 8, "types 5 and 7 of 32");
        assert!(starts(Codec::H265, 0x40) && starts(Codec::H265, 0x26));
        assert!(!starts(Codec::H265, 0x02), "a trailing picture");
        assert_eq!(all(Codec::H265), 10 * 4, "ten types of 64");
        assert!(starts(Codec::Mpeg4, 0xB0) && !starts(Codec::Mpeg4, 0xB6));
        for codec in [Codec::Adts, Codec::Av1] {
            assert!(codec.starts_with(&[]), "{codec:?} is not looked into");
        }
        assert!(!Codec::H264.starts_with(&[0, 0, 1]));
    }
}
