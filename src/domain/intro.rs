//! Intros and outros: files that listeners hear before and after a stream. A file is parsed once,
//! when the server starts, and kept as the stream's own bytes are: whole units, with the places
//! where a player can start. It reads no file; who starts the server does.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::Moment;
use crate::base::limits::{INTRO_BYTES_MAX, START_POINTS_APART};
use crate::config::{IntroPosition, MountSettings};
use crate::media::{Framer, Objection, Signature, Step};

use super::listener::SyncPoint;

/// A file that is heard before or after a stream, ready to be sent.
#[derive(Debug)]
pub struct Intro {
    bytes: Arc<Vec<u8>>,
    /// Where a player can start without being given anything first, in order; never empty. Times
    /// count from the first byte.
    points: Vec<SyncPoint>,
    duration_us: u64,
    format: &'static str,
    signature: Option<Signature>,
}

impl Intro {
    /// Parses a whole file. `content_type` is what the mounts that use it tell their listeners, if
    /// the configuration sets it.
    ///
    /// # Errors
    /// Why the file cannot be heard before or after a stream.
    pub fn load(file: &[u8], content_type: Option<&str>) -> Result<Self, Fault> {
        if file.len() > INTRO_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        // A tag in front may hold a cover, and so reach beyond what the framer looks at to find the
        // format out.
        let assumed = if file.starts_with(b"ID3") { "audio/mpeg" } else { "" };
        let mut framer = Framer::for_content_type(content_type.unwrap_or(assumed));
        let mut parts = Parts::default();
        let left = parts.take(&mut framer, file);
        if let Some(objection) = framer.objection() {
            return Err(Fault::Objected(objection));
        }
        let format = framer.format().filter(|_| !framer.gave_up()).ok_or(Fault::NotAudio)?;
        if content_type.is_some() && framer.mismatch().is_some() {
            return Err(Fault::OtherFormat { format });
        }
        if !framer.goes_on_when_changed() {
            return Err(Fault::CannotBeFollowed { format });
        }
        if parts.points.is_empty() || parts.duration_us == 0 {
            return Err(Fault::NotAudio);
        }
        let counters = framer.counters();
        // A file may end within its last unit, as recordings of streams do.
        let unread = left.saturating_sub(LAST_UNIT_BYTES_MAX) as u64;
        let junk_bytes = counters.junk_bytes + unread;
        if junk_bytes * JUNK_SHARE > file.len() as u64 || counters.crc_errors > 0 {
            return Err(Fault::Damaged { junk_bytes, crc_errors: counters.crc_errors });
        }
        let signature = framer.signature();
        if framer.end_source() {
            parts.bytes.extend_from_slice(framer.written());
        }
        let Parts { bytes, points, duration_us } = parts;
        Ok(Self { bytes: Arc::new(bytes), points, duration_us, format, signature })
    }

    /// The file as it is sent: whole units, without tags.
    pub fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.bytes
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us)
    }

    /// The format of its bytes: see [`Framer::format`]. A stream of another one cannot follow.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// Its codec parameters: see [`Framer::signature`].
    pub fn signature(&self) -> Option<Signature> {
        self.signature
    }

    /// The first byte that a newcomer gets at `now`. In a format with preambles the places to
    /// share are those where the file gives one itself: the beginnings of its links.
    pub fn start(&self, position: IntroPosition, now: Moment) -> u32 {
        let played_us = match position {
            IntroPosition::Start => 0,
            IntroPosition::Shared => now.0 % self.duration_us,
        };
        let at = self.points.partition_point(|point| point.media_us <= played_us);
        let offset = self.points[at.saturating_sub(1)].offset;
        u32::try_from(offset).unwrap_or_default()
    }
}

/// An intro that is being put together.
#[derive(Default)]
struct Parts {
    bytes: Vec<u8>,
    points: Vec<SyncPoint>,
    duration_us: u64,
}

impl Parts {
    /// Takes every whole unit of `file`; gives the bytes that are left.
    fn take(&mut self, framer: &mut Framer, file: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let step = framer.step(&file[used..]);
            let input = &file[used..used + step.taken()];
            used += step.taken();
            match step {
                Step::More => return file.len() - used,
                Step::Frame { duration_us, starts, rewritten, .. } => {
                    if starts && framer.preamble().is_empty() {
                        self.starts_here();
                    }
                    self.bytes.extend_from_slice(if rewritten { framer.written() } else { input });
                    self.duration_us += u64::from(duration_us);
                }
                Step::Head { .. } => {
                    self.starts_here();
                    // Who hears the file from its beginning is a newcomer; who is on when another
                    // link begins is told of it in the stream.
                    let is_first = self.bytes.is_empty();
                    let head = if is_first { framer.preamble() } else { framer.written() };
                    self.bytes.extend_from_slice(head);
                }
                Step::Tag { .. } | Step::Junk { .. } => {}
            }
            if framer.gave_up() || framer.objection().is_some() {
                return file.len() - used;
            }
        }
    }

    /// A player can start here, if the last such place is not too near.
    fn starts_here(&mut self) {
        let here = SyncPoint { offset: self.bytes.len() as u64, media_us: self.duration_us };
        let apart_us = START_POINTS_APART.as_micros() as u64;
        if self.points.last().is_none_or(|last| here.media_us - last.media_us >= apart_us) {
            self.points.push(here);
        }
    }
}

/// Why a file cannot be heard before or after a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the line above a variant says what its fields hold")]
pub enum Fault {
    /// It is larger than [`INTRO_BYTES_MAX`].
    TooLarge,
    /// It is of no format that is parsed here, or holds not one whole unit.
    NotAudio,
    /// More than a hundredth of it belongs to no unit, or units of it fail their checksum.
    Damaged { junk_bytes: u64, crc_errors: u64 },
    /// Its parser objects to it.
    Objected(Objection),
    /// Its format tells its parameters at the very beginning only, so that no stream can follow.
    CannotBeFollowed { format: &'static str },
    /// It is of another format than the mount's content type.
    OtherFormat { format: &'static str },
}

impl fmt::Display for Fault {
    /// What is wrong with the file, a semicolon, the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                let mib = INTRO_BYTES_MAX >> 20;
                write!(f, "is larger than {mib} MiB; shorten it, or lower its bitrate")
            }
            Self::NotAudio => {
                f.write_str("holds no audio of a known format; encode it as the stream is encoded")
            }
            Self::Damaged { junk_bytes, crc_errors } => {
                write!(f, "is damaged ({junk_bytes} bytes are no audio, {crc_errors} units are ")?;
                f.write_str("wrong); encode it anew")
            }
            Self::Objected(objection) => {
                write!(f, "cannot be served ({}); encode it anew", objection.cure())
            }
            Self::CannotBeFollowed { format } => {
                write!(f, "is {format}, behind which no stream can go on; ")?;
                f.write_str("use MP3, AAC in ADTS or Ogg, as the stream does")
            }
            Self::OtherFormat { format } => {
                write!(f, "is {format}, which is not the content_type of its mount; ")?;
                f.write_str("encode it as the stream is encoded, or correct content_type")
            }
        }
    }
}

/// Every intro and outro of the configuration, by the path that stands there.
#[derive(Debug, Default)]
pub struct Shelf(HashMap<PathBuf, Arc<Intro>>);

impl Shelf {
    /// Keeps `intro` for the mounts that name `path`.
    pub fn put(&mut self, path: PathBuf, intro: Arc<Intro>) {
        self.0.insert(path, intro);
    }

    /// What newcomers of a mount with these settings hear first.
    pub fn intro(&self, settings: &MountSettings) -> Option<&Arc<Intro>> {
        self.named(settings.intro.as_deref())
    }

    /// What listeners of a mount with these settings hear last.
    pub fn outro(&self, settings: &MountSettings) -> Option<&Arc<Intro>> {
        self.named(settings.outro.as_deref())
    }

    /// What is kept for `path`.
    fn named(&self, path: Option<&Path>) -> Option<&Arc<Intro>> {
        self.0.get(path?)
    }
}

/// One byte in so many may be junk: encoders leave a few at the ends, and a file that has more
/// would be heard as noise.
const JUNK_SHARE: u64 = 100;

/// Bytes of a last unit that was cut off: the largest unit that can be followed, an Ogg page.
const LAST_UNIT_BYTES_MAX: usize = 65_307;

#[cfg(test)]
mod tests {
    use super::*;
    use IntroPosition::{Shared, Start};

    const TAGGED_MP3: &[u8] = include_bytes!("../../tests/fixtures/media/tagged-vbr.mp3");
    const LIVE_AAC: &[u8] = include_bytes!("../../tests/fixtures/media/live.aac");

    fn load(file: &[u8]) -> Intro {
        Intro::load(file, None).expect("a sound file")
    }

    #[test]
    fn a_file_with_tags_becomes_whole_frames_without_them() {
        let intro = load(TAGGED_MP3);
        // ID3v2 and the frame that describes the file in front, ID3v1 behind.
        assert_eq!(intro.bytes().len(), TAGGED_MP3.len() - 76 - 182 - 128);
        assert!(TAGGED_MP3.windows(intro.bytes().len()).any(|part| part == **intro.bytes()));
        assert_eq!(intro.duration(), Duration::from_micros(24 * 1_152 * 1_000_000 / 44_100));
        assert_eq!(intro.format(), "MPEG audio");
        assert!(intro.signature().is_some());
        assert_eq!(intro.signature(), load(TAGGED_MP3).signature());
        assert_ne!(intro.signature(), load(LIVE_AAC).signature());
    }

    #[test]
    fn a_cover_in_front_hides_no_audio() {
        let cover = vec![0xFF; 0x2000];
        let tag = [b"ID3\x04\0\0\0\0\x40\0", &cover[..]].concat();
        let intro = load(&[&tag, TAGGED_MP3].concat());
        assert_eq!(intro.bytes(), load(TAGGED_MP3).bytes());
    }

    #[test]
    fn every_newcomer_starts_at_the_beginning_or_all_share_a_place_that_goes_round() {
        let intro = load(LIVE_AAC);
        let start = |position, at_us| intro.start(position, Moment(at_us)) as usize;
        let duration_us = intro.duration().as_micros() as u64;
        assert_eq!(start(Start, 0), 0);
        assert_eq!(start(Start, 400_000), 0);
        let mut last = 0;
        for at_us in (0..duration_us).step_by(10_000) {
            let offset = start(Shared, at_us);
            assert!(offset >= last && offset < intro.bytes().len());
            assert_eq!(start(Shared, at_us + 7 * duration_us), offset);
            last = offset;
        }
        assert!(last > intro.bytes().len() / 2, "{last}");
    }

    #[test]
    fn every_place_to_start_at_is_the_beginning_of_a_frame() {
        let intro = load(LIVE_AAC);
        assert!(intro.points.len() >= 4, "0.6 s, a tenth apart");
        for point in &intro.points {
            let rest = load(&intro.bytes()[point.offset as usize..]);
            assert_eq!(rest.duration_us, intro.duration_us - point.media_us);
        }
    }

    #[test]
    fn a_last_unit_that_was_cut_off_is_left_out() {
        let cut = load(&LIVE_AAC[..LIVE_AAC.len() - 5]);
        let whole = load(LIVE_AAC);
        assert!(cut.duration() < whole.duration());
        assert!(whole.bytes().starts_with(cut.bytes()));
    }

    #[test]
    fn what_is_no_audio_is_refused() {
        let text = b"[server]\nlisten = []\n".repeat(2_000);
        assert_eq!(Intro::load(&text, None).err(), Some(Fault::NotAudio));
        assert_eq!(Intro::load(b"", None).err(), Some(Fault::NotAudio));
        assert_eq!(Intro::load(&LIVE_AAC[..100], None).err(), Some(Fault::NotAudio));
        assert_eq!(Intro::load(&text, Some("audio/mpeg")).err(), Some(Fault::NotAudio));
    }

    #[test]
    fn a_file_of_another_format_than_its_mount_is_refused() {
        assert!(Intro::load(TAGGED_MP3, Some("audio/mpeg")).is_ok());
        let format = "MPEG audio";
        for content_type in ["audio/aac", "audio/x-unknown"] {
            let loaded = Intro::load(TAGGED_MP3, Some(content_type));
            assert_eq!(loaded.err(), Some(Fault::OtherFormat { format }), "{content_type}");
        }
    }

    #[test]
    fn a_little_junk_is_left_out_and_much_is_refused() {
        let sound = LIVE_AAC.repeat(3);
        let with_junk = |bytes: usize| {
            let junk = vec![0; bytes];
            [LIVE_AAC, &junk, LIVE_AAC, LIVE_AAC].concat()
        };
        assert_eq!(**load(&with_junk(sound.len() / 101)).bytes(), sound);
        let junk_bytes = 1_000;
        let fault = Fault::Damaged { junk_bytes, crc_errors: 0 };
        assert_eq!(Intro::load(&with_junk(1_000), None).err(), Some(fault));
    }

    #[test]
    fn a_file_beyond_the_ceiling_is_not_parsed() {
        let large = vec![0; INTRO_BYTES_MAX + 1];
        assert_eq!(Intro::load(&large, None).err(), Some(Fault::TooLarge));
    }

    #[test]
    fn every_fault_names_its_cure() {
        let format = "WAV";
        for fault in [
            Fault::TooLarge,
            Fault::NotAudio,
            Fault::Damaged { junk_bytes: 7, crc_errors: 0 },
            Fault::Objected(Objection::FreeFormat),
            Fault::CannotBeFollowed { format },
            Fault::OtherFormat { format },
        ] {
            assert!(fault.to_string().contains("; "), "{fault}");
        }
    }

    #[test]
    fn a_mount_finds_the_files_it_names() {
        let mut shelf = Shelf::default();
        shelf.put("in.aac".into(), Arc::new(load(LIVE_AAC)));
        let mut settings = MountSettings::default();
        assert!(shelf.intro(&settings).is_none() && shelf.outro(&settings).is_none());
        settings.intro = Some("in.aac".into());
        settings.outro = Some("out.aac".into());
        assert!(shelf.intro(&settings).is_some() && shelf.outro(&settings).is_none());
    }
}
