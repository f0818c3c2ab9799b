//! Reads what is playing from an ID3v2 tag while it passes: title, artist and address, in all three
//! versions (informal standards 2.2.0, 2.3.0 and 2.4.0). A cover goes by without being kept. How
//! long a tag is and where one stands is `tag.rs`. Source core, between two tracks.

use super::Tags;

/// Bytes that are kept of one text. With UTF-16 and the description of an address in front there is
/// room for a title of the greatest length; longer ones are cut.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// A reader of tags, one after the other.
#[derive(Debug, Default)]
pub(super) struct Id3 {
    part: Part,
    /// What has come of the part under way, and how many bytes it has.
    kept: Vec<u8>,
    wanted: usize,
    /// Bytes that come before the next part and are none of it.
    skipped: usize,
    /// Second number of the version: 2, 3 or 4.
    version: u8,
    /// Whether a zero behind each byte of 0xFF was put there to keep players from hearing a frame.
    unsynchronised: bool,
    /// Whether the last byte was 0xFF.
    after_ones: bool,
    tags: Tags,
    told: Option<Tags>,
}

/// What is read next.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    /// Nothing: the rest is of no interest.
    #[default]
    Nothing,
    Header,
    /// The size of the extended header.
    Extended,
    FrameHeader,
    Text(Text),
}

/// The body of a frame that is kept.
#[derive(Clone, Copy, Debug)]
struct Text {
    kind: Kind,
    /// Bytes in front that the frame's flags announce.
    prefix_bytes: usize,
    /// Whether it has the zeros of [`Id3::unsynchronised`], which version 2.4 does by frame.
    unsynchronised: bool,
    /// Bytes of the frame beyond those that are kept.
    behind: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Title,
    Artist,
    /// An address alone.
    Url,
    /// An address with a description in front.
    DescribedUrl,
}

impl Id3 {
    /// A tag begins with the next byte.
    pub(super) fn begin(&mut self) {
        self.tags = Tags::default();
        self.kept.clear();
        self.skipped = 0;
        self.unsynchronised = false;
        self.after_ones = false;
        self.expect(Part::Header, HEADER_BYTES);
    }

    /// More of the tag.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if matches!(self.part, Part::Nothing) {
                return;
            }
            if self.skipped > 0 && !self.unsynchronised {
                let skipped = self.skipped.min(bytes.len());
                self.skipped -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            bytes = rest;
            let is_filler = self.unsynchronised && self.after_ones && byte == 0;
            self.after_ones = byte == 0xFF;
            if !is_filler {
                self.take(byte);
            }
        }
    }

    /// The tag is over.
    pub(super) fn end(&mut self) {
        self.part = Part::Nothing;
        let tags = std::mem::take(&mut self.tags);
        if !tags.is_empty() {
            self.told = Some(tags);
        }
    }

    /// What the last tags said, once.
    pub(super) fn take_tags(&mut self) -> Option<Tags> {
        self.told.take()
    }

    fn expect(&mut self, part: Part, bytes: usize) {
        self.part = part;
        self.wanted = bytes;
    }

    fn take(&mut self, byte: u8) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        self.kept.push(byte);
        if self.kept.len() == self.wanted {
            let kept = std::mem::take(&mut self.kept);
            match self.part {
                Part::Nothing => {}
                Part::Header => self.read_header(&kept),
                Part::Extended => self.read_extended(&kept),
                Part::FrameHeader => self.read_frame_header(&kept),
                Part::Text(text) => self.read_text(text, &kept),
            }
            // Its room serves the next part.
            self.kept = kept;
            self.kept.clear();
        }
    }

    fn read_header(&mut self, header: &[u8]) {
        let &[b'I', b'D', b'3', version @ 2..=4, _, flags, ..] = header else {
            self.part = Part::Nothing;
            return;
        };
        self.version = version;
        // In version 2.4 the frames tell for themselves.
        self.unsynchronised = version < 4 && flags & 0x80 != 0;
        match (version, flags & 0x40 != 0) {
            // Compressed, in a way that never was defined.
            (2, true) => self.part = Part::Nothing,
            (_, true) => self.expect(Part::Extended, 4),
            (_, false) => self.expect_frame(),
        }
    }

    /// The size counts its own four bytes in version 2.4 alone.
    fn read_extended(&mut self, size: &[u8]) {
        self.skipped = match self.version {
            4 => syncsafe(size).saturating_sub(4),
            _ => big_endian(size),
        };
        self.expect_frame();
    }

    fn expect_frame(&mut self) {
        self.expect(Part::FrameHeader, if self.version == 2 { 6 } else { 10 });
    }

    fn read_frame_header(&mut self, header: &[u8]) {
        let (name, size, flags) = match (self.version, header) {
            (2, [name @ .., _, _, _]) => (name, big_endian(&header[3..]), 0),
            (3, &[_, _, _, _, _, _, _, _, _, flags]) => {
                (&header[..4], big_endian(&header[4..8]), flags)
            }
            (_, &[_, _, _, _, _, _, _, _, _, flags]) => {
                (&header[..4], syncsafe(&header[4..8]), flags)
            }
            _ => (&header[..0], 0, 0),
        };
        // Zeros are padding; nothing follows them.
        if name.first().is_none_or(|&first| first == 0) {
            self.part = Part::Nothing;
            return;
        }
        let form = if self.version == 4 { flags_of_4(flags) } else { flags_of_3(flags) };
        let kind = kind(name);
        let (Some(kind), Some((prefix_bytes, unsynchronised)), 1..) = (kind, form, size) else {
            self.skipped = size;
            self.expect_frame();
            return;
        };
        let kept = size.min(TEXT_BYTES_MAX);
        let text = Text { kind, prefix_bytes, unsynchronised, behind: size - kept };
        self.expect(Part::Text(text), kept);
    }

    fn read_text(&mut self, text: Text, body: &[u8]) {
        self.skipped = text.behind;
        self.expect_frame();
        let body = body.get(text.prefix_bytes..).unwrap_or_default();
        let synchronised = text.unsynchronised.then(|| without_fillers(body));
        let body = synchronised.as_deref().unwrap_or(body);
        let Some(said) = decoded(text.kind, body).filter(|said| !said.is_empty()) else { return };
        let field = match text.kind {
            Kind::Title => &mut self.tags.title,
            Kind::Artist => &mut self.tags.artist,
            Kind::Url | Kind::DescribedUrl => &mut self.tags.url,
        };
        if field.is_none() {
            *field = Some(Tags::kept(&said));
        }
    }
}

const HEADER_BYTES: usize = 10;

/// What a frame is kept as, by its name in version 2.2 or later.
fn kind(name: &[u8]) -> Option<Kind> {
    match name {
        b"TIT2" | b"TT2" => Some(Kind::Title),
        b"TPE1" | b"TP1" => Some(Kind::Artist),
        b"WOAR" | b"WAR" => Some(Kind::Url),
        b"WXXX" | b"WXX" => Some(Kind::DescribedUrl),
        _ => None,
    }
}

/// Bytes in front of a frame's body, and whether that is unsynchronised; `None` if it is compressed
/// or encrypted (2.3.0, 3.3.1).
fn flags_of_3(flags: u8) -> Option<(usize, bool)> {
    let group_bytes = usize::from(flags & 0x20 != 0);
    (flags & 0xC0 == 0).then_some((group_bytes, false))
}

/// As [`flags_of_3`], of version 2.4 (4.1.2): a body may have its length in front.
fn flags_of_4(flags: u8) -> Option<(usize, bool)> {
    let group_bytes = usize::from(flags & 0x40 != 0);
    let length_bytes = if flags & 0x01 != 0 { 4 } else { 0 };
    (flags & 0x0C == 0).then_some((group_bytes + length_bytes, flags & 0x02 != 0))
}

/// The text of a frame up to its first zero: what follows is another value.
fn decoded(kind: Kind, body: &[u8]) -> Option<String> {
    match kind {
        Kind::Url => Some(latin_1(body)),
        Kind::Title | Kind::Artist => {
            let (&encoding, text) = body.split_first()?;
            string(encoding, text)
        }
        Kind::DescribedUrl => {
            let (&encoding, text) = body.split_first()?;
            let url = match encoding {
                1 | 2 => {
                    let end = text.chunks_exact(2).position(|unit| unit == [0, 0])?;
                    text.get(2 * end + 2..)?
                }
                _ => text.get(text.iter().position(|&byte| byte == 0)? + 1..)?,
            };
            Some(latin_1(url))
        }
    }
}

/// By the encoding's number; `None` for one that there is not.
fn string(encoding: u8, text: &[u8]) -> Option<String> {
    match (encoding, text) {
        (0, _) => Some(latin_1(text)),
        (1, [0xFE, 0xFF, text @ ..]) | (2, text) => Some(utf_16(text, u16::from_be_bytes)),
        // Writers that forget the mark are on machines that begin with the lower byte.
        (1, [0xFF, 0xFE, text @ ..]) | (1, text) => Some(utf_16(text, u16::from_le_bytes)),
        (3, _) => {
            let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
            Some(String::from_utf8_lossy(text).into_owned())
        }
        _ => None,
    }
}

fn latin_1(text: &[u8]) -> String {
    text.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect()
}

fn utf_16(text: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let pairs = text.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(pairs.take_while(|&unit| unit != 0))
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn without_fillers(body: &[u8]) -> Vec<u8> {
    let mut after_ones = false;
    let is_text = |byte: &u8| {
        let is_filler = after_ones && *byte == 0;
        after_ones = *byte == 0xFF;
        !is_filler
    };
    body.iter().copied().filter(is_text).collect()
}

fn big_endian(size: &[u8]) -> usize {
    size.iter().fold(0, |size, &byte| size << 8 | usize::from(byte))
}

/// Seven bits of each byte. iTunes wrote all eight of them into tags of version 2.4.
fn syncsafe(size: &[u8]) -> usize {
    if size.iter().any(|byte| byte & 0x80 != 0) {
        return big_endian(size);
    }
    size.iter().fold(0, |size, &byte| size << 7 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(version: u8, name: &[u8], flags: u8, body: &[u8]) -> Vec<u8> {
        let size = body.len() as u32;
        let mut frame = name.to_vec();
        match version {
            2 => frame.extend(&size.to_be_bytes()[1..]),
            3 => frame.extend(size.to_be_bytes()),
            _ => frame.extend([21, 14, 7, 0].map(|shift| (size >> shift & 0x7F) as u8)),
        }
        if version > 2 {
            frame.extend([0, flags]);
        }
        [&frame[..], body].concat()
    }

    fn tag(version: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        [&[b'I', b'D', b'3', version, 0, flags, 0, 0, 0, 0][..], body].concat()
    }

    /// What a tag says, read at once and byte by byte.
    fn read(tag: &[u8]) -> Option<Tags> {
        let said = |piece: usize| {
            let mut id3 = Id3::default();
            id3.begin();
            tag.chunks(piece).for_each(|bytes| id3.read(bytes));
            id3.end();
            let told = id3.take_tags();
            assert_eq!(id3.take_tags(), None);
            assert!(id3.kept.capacity() <= 2 * TEXT_BYTES_MAX);
            told
        };
        let at_once = said(tag.len().max(1));
        assert_eq!(said(1), at_once);
        at_once
    }

    fn title(version: u8, body: &[u8]) -> Option<String> {
        read(&tag(version, 0, &frame(version, b"TIT2", 0, body)))?.title
    }

    #[test]
    fn every_version_is_read_past_its_cover() {
        let cover = vec![0xAB; 70_000];
        for (version, names) in [
            (2, [&b"PIC"[..], b"TT2", b"TP1", b"WXX"]),
            (3, [b"APIC", b"TIT2", b"TPE1", b"WXXX"]),
            (4, [b"APIC", b"TIT2", b"TPE1", b"WXXX"]),
        ] {
            let [picture, title, artist, url] = names;
            let body = [
                frame(version, picture, 0, &cover),
                frame(version, title, 0, b"\0Ebb"),
                frame(version, artist, 0, b"\0Fl\xF6e\0more"),
                frame(version, url, 0, b"\0shop\0http://floe.test/"),
                vec![0; 50],
            ];
            let said = read(&tag(version, 0, &body.concat())).unwrap();
            assert_eq!(said.title.as_deref(), Some("Ebb"), "{version}");
            assert_eq!(said.artist.as_deref(), Some("Flöe"), "{version}");
            assert_eq!(said.url.as_deref(), Some("http://floe.test/"), "{version}");
        }
    }

    #[test]
    fn every_encoding_is_read() {
        assert_eq!(title(3, b"\0Fl\xF6e").as_deref(), Some("Flöe"));
        assert_eq!(title(3, b"\x01\xFF\xFEF\0\xF6\0\0\0x\0").as_deref(), Some("Fö"));
        assert_eq!(title(3, b"\x01\xFE\xFF\0F\0\xF6").as_deref(), Some("Fö"));
        assert_eq!(title(3, b"\x01F\0\xF6\0").as_deref(), Some("Fö"));
        assert_eq!(title(4, b"\x02\0F\xD8\x3C\xDF\xB5\xD8\x3C").as_deref(), Some("F🎵\u{FFFD}"));
        assert_eq!(title(4, "\x03Flöe\0next".as_bytes()).as_deref(), Some("Flöe"));
        assert_eq!(title(4, b"\x03\xFF").as_deref(), Some("\u{FFFD}"));
        for nothing in [&b"\x04what"[..], b"\0", b"\x01\xFF\xFE", b"\x02\0"] {
            assert_eq!(title(4, nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn fillers_are_taken_out_of_the_tag_or_of_a_frame() {
        // In version 2.3 sizes count what is left without them.
        let whole = frame(3, b"TIT2", 0, b"\x01\xFF\xFEF\0");
        let mut filled = Vec::new();
        for byte in [frame(3, b"APIC", 0, &[0xFF; 9]), whole].concat() {
            filled.push(byte);
            if byte == 0xFF {
                filled.push(0);
            }
        }
        assert_eq!(read(&tag(3, 0x80, &filled)).unwrap().title.as_deref(), Some("F"));
        // In 2.4 they count all of it, and a length may stand in front.
        let body = frame(4, b"TIT2", 0x43, b"g\0\0\0\x05\x01\xFF\0\xFEF\0");
        assert_eq!(read(&tag(4, 0x80, &body)).unwrap().title.as_deref(), Some("F"));
    }

    #[test]
    fn extended_headers_and_unreadable_frames_are_passed() {
        let title = |version| frame(version, b"TIT2", 0, b"\0Ebb");
        let extended = [&b"\0\0\0\x06......"[..], &title(3)].concat();
        assert_eq!(read(&tag(3, 0x40, &extended)).unwrap().title.as_deref(), Some("Ebb"));
        let extended = [&b"\0\0\0\x06.."[..], &title(4)].concat();
        assert_eq!(read(&tag(4, 0x40, &extended)).unwrap().title.as_deref(), Some("Ebb"));
        for (version, flags) in [(3, 0x80), (3, 0x40), (4, 0x08), (4, 0x04)] {
            let body = [frame(version, b"TIT2", flags, b"\0no"), title(version)].concat();
            assert_eq!(read(&tag(version, 0, &body)).unwrap().title.as_deref(), Some("Ebb"));
        }
        assert_eq!(read(&tag(2, 0x40, &frame(2, b"TT2", 0, b"\0no"))), None);
    }

    #[test]
    fn lying_sizes_and_other_tags_say_nothing_and_keep_little() {
        let lie = [&b"TIT2\xFF\xFF\xFF\xFF\0\0\0"[..], &[b'x'; 50_000]].concat();
        assert_eq!(
            read(&tag(3, 0, &lie)).unwrap().title.unwrap().len(),
            super::super::tags::TEXT_BYTES_MAX
        );
        for other in [&b"TAGsong"[..], b"APETAGEX....................", b"ID3\x05..........", b""] {
            assert_eq!(read(other), None);
        }
        let whole = tag(4, 0, &frame(4, b"TIT2", 0, b"\x03Ebb"));
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), None, "{cut}");
        }
    }
}
