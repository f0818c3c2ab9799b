//! The tracks of a stream: which of them players start with, which one tells the time, and what
//! they say of their codecs. Source core.

use super::super::asc::{AudioConfig, Bits};
use super::super::{Facts, Signature};
use super::ebml::{Child, Children, id, rounded, unsigned};

/// Tracks of one stream. A film with every language has fewer; each costs a look for each block.
const TRACKS_MAX: usize = 64;

/// A stream's tracks.
#[derive(Clone, Debug)]
pub(super) struct Tracks {
    /// In their order in the stream; at least one.
    pub(super) entries: Vec<Track>,
    /// The track at whose key frames a player can start: video, if there is any.
    pub(super) lead: usize,
    /// The track whose blocks tell the time: audio, if there is any, because all of it plays.
    pub(super) clock: usize,
}

/// One track.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// What its blocks name.
    pub(super) number: u64,
    /// What it holds.
    pub(super) kind: Kind,
    /// Time of one frame in nanoseconds, where it is told.
    pub(super) frame_ns: Option<u64>,
    codec: Option<&'static str>,
    sample_rate: Option<u32>,
    channels: Option<u8>,
    /// What has to be equal for one decoder to go on.
    key: Vec<u8>,
}

/// What a track holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, buttons and whatever else.
    Other,
}

impl Tracks {
    /// The tracks in the body of a Tracks element; `None` if it is not whole, names none or more
    /// than [`TRACKS_MAX`].
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        if !Children::of(body).are_whole() {
            return None;
        }
        let mut entries = Vec::new();
        for child in Children::of(body).filter(|child| child.id == id::TRACK_ENTRY) {
            entries.push(Track::parse(child)?);
            if entries.len() > TRACKS_MAX {
                return None;
            }
        }
        let first = |kind: Kind| entries.iter().position(|track: &Track| track.kind == kind);
        let (video, audio) = (first(Kind::Video), first(Kind::Audio));
        let lead = video.or(audio).unwrap_or(0);
        let clock = audio.or(video).unwrap_or(0);
        (!entries.is_empty()).then_some(Self { entries, lead, clock })
    }

    /// Place of the track that blocks call `number`.
    #[inline]
    pub(super) fn find(&self, number: u64) -> Option<usize> {
        self.entries.iter().position(|track| track.number == number)
    }

    /// Whether any of them holds pictures.
    pub(super) fn have_video(&self) -> bool {
        self.entries[self.lead].kind == Kind::Video
    }

    /// Numbers, codecs, their parameters and the length of a tick: times written before are in the
    /// ticks that the first preamble told.
    pub(super) fn signature(&self, tick_ns: u64) -> Signature {
        let tick_ns = tick_ns.to_le_bytes();
        let keys = self.entries.iter().map(|track| track.key.as_slice());
        Signature::of(&keys.chain([&tick_ns[..]]).collect::<Vec<_>>())
    }

    /// What they say of their codecs.
    pub(super) fn facts(&self) -> Facts {
        let clock = &self.entries[self.clock];
        let audio = (clock.kind == Kind::Audio).then_some(clock);
        let lead = &self.entries[self.lead];
        Facts {
            codec: audio.and_then(|track| track.codec),
            video_codec: (lead.kind == Kind::Video).then_some(lead.codec).flatten(),
            sample_rate: audio.and_then(|track| track.sample_rate),
            channels: audio.and_then(|track| track.channels),
            ..Facts::default()
        }
    }
}

impl Track {
    /// The track of a TrackEntry; `None` if it is not whole or has no number.
    fn parse(entry: Child<'_>) -> Option<Self> {
        let fields = Children::of(entry.body);
        if !fields.are_whole() {
            return None;
        }
        let number = fields.find_unsigned(id::TRACK_NUMBER).filter(|number| *number > 0)?;
        let kind = match fields.find_unsigned(id::TRACK_TYPE)? {
            1 => Kind::Video,
            2 => Kind::Audio,
            _ => Kind::Other,
        };
        let codec_id = fields.find_text(id::CODEC_ID).unwrap_or_default();
        let private = fields.find_body(id::CODEC_PRIVATE).unwrap_or_default();
        let encodings = fields.find_body(id::CONTENT_ENCODINGS).unwrap_or_default();
        let audio = Children::of(fields.find_body(id::AUDIO).unwrap_or_default());
        // 8 kHz and one channel are what RFC 9559, section 5.1.4.1.29 has where nothing is told.
        let rate = audio.find_body(id::SAMPLING_FREQUENCY).map_or(Some(8_000), rounded)?;
        let output_rate = audio.find_body(id::OUTPUT_SAMPLING_FREQUENCY).and_then(rounded);
        let channels = audio.find_body(id::CHANNELS).map_or(Some(1), unsigned)?;
        let mut key = [number, kind as u64, rate, channels].map(u64::to_le_bytes).concat();
        let [front, back] = decoder_parameters(&codec_id, private);
        for part in [codec_id.as_bytes(), front, back, encodings] {
            key.extend_from_slice(&(part.len() as u64).to_le_bytes());
            key.extend_from_slice(part);
        }
        let sample_rate = u32::try_from(output_rate.unwrap_or(rate)).ok();
        let is_sbr = output_rate.is_some_and(|output| output > rate);
        Some(Self {
            number,
            kind,
            frame_ns: fields.find_unsigned(id::DEFAULT_DURATION),
            codec: codec_name(&codec_id, private, is_sbr),
            sample_rate: sample_rate.filter(|rate| *rate > 0),
            channels: u8::try_from(channels).ok().filter(|channels| *channels > 0),
            key,
        })
    }
}

/// The parts of a CodecPrivate that a decoder cares for: a returning source has another title and
/// another length, and goes on all the same.
fn decoder_parameters<'a>(codec_id: &str, private: &'a [u8]) -> [&'a [u8]; 2] {
    let parts = match codec_id {
        "A_VORBIS" => vorbis_without_comments(private),
        "A_FLAC" => flac_without_sums(private),
        _ => None,
    };
    parts.unwrap_or([private, &[]])
}

/// Vorbis has three headers (RFC 9559 calls them laced as in Ogg); the second holds comments.
fn vorbis_without_comments(private: &[u8]) -> Option<[&[u8]; 2]> {
    let mut rest = private.strip_prefix(&[2])?;
    let mut lengths = [0; 2];
    for length in &mut lengths {
        let full = rest.iter().take_while(|byte| **byte == 255).count();
        *length = full * 255 + usize::from(*rest.get(full)?);
        rest = &rest[full + 1..];
    }
    let (identification, rest) = rest.split_at_checked(lengths[0])?;
    Some([identification, rest.get(lengths[1]..)?])
}

/// FLAC has STREAMINFO (RFC 9639, section 8.2) behind its marker and a block's head: the sizes of
/// blocks, then those of frames, rate, channels and depth, then number and checksum of all samples.
fn flac_without_sums(private: &[u8]) -> Option<[&[u8]; 2]> {
    private.starts_with(b"fLaC").then_some(())?;
    Some([private.get(8..12)?, private.get(18..22)?])
}

/// What [`Facts`] call the codec of a CodecID. AAC tells in its AudioSpecificConfig which one it
/// is, or by an output rate above the core's (`is_sbr`).
fn codec_name(codec_id: &str, private: &[u8], is_sbr: bool) -> Option<&'static str> {
    let (_, name) = *CODECS.iter().find(|(prefix, _)| codec_id.starts_with(prefix))?;
    if name != "AAC" {
        return Some(name);
    }
    match AudioConfig::parse(&mut Bits::new(private)).map(|config| config.codec) {
        Some("AAC") | None if is_sbr => Some("HE-AAC"),
        told => told.or(Some(name)),
    }
}

/// Beginnings of CodecIDs, a longer one before a shorter that it begins with.
const CODECS: &[(&str, &str)] = &[
    ("A_OPUS", "Opus"),
    ("A_VORBIS", "Vorbis"),
    ("A_FLAC", "FLAC"),
    ("A_AAC", "AAC"),
    ("A_MPEG/L3", "MP3"),
    ("A_MPEG/L2", "MP2"),
    ("A_EAC3", "E-AC-3"),
    ("A_AC3", "AC-3"),
    ("A_ALAC", "ALAC"),
    ("A_DTS", "DTS"),
    ("A_PCM", "PCM"),
    ("V_VP8", "VP8"),
    ("V_VP9", "VP9"),
    ("V_AV1", "AV1"),
    ("V_MPEG4/ISO/AVC", "H.264"),
    ("V_MPEGH/ISO/HEVC", "H.265"),
    ("V_MPEG4/ISO", "MPEG-4"),
    ("V_MPEG2", "MPEG-2"),
    ("V_MPEG1", "MPEG-1"),
    ("V_THEORA", "Theora"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{audio_entry, element, number, video_entry};
    use super::*;

    fn tracks(entries: &[Vec<u8>]) -> Option<Tracks> {
        Tracks::parse(&entries.concat())
    }

    fn signature(codec_id: &str, private: &[u8]) -> Signature {
        tracks(&[audio_entry(1, codec_id, private)]).unwrap().signature(1_000_000)
    }

    #[test]
    fn audio_tells_the_time_and_video_the_starts() {
        let (audio, video) = (audio_entry(1, "A_OPUS", b""), video_entry(2, "V_VP8"));
        let both = tracks(&[audio.clone(), video.clone()]).unwrap();
        assert_eq!((both.clock, both.lead, both.have_video()), (0, 1, true));
        let facts = both.facts();
        assert_eq!((facts.codec, facts.video_codec), (Some("Opus"), Some("VP8")));
        assert_eq!((facts.sample_rate, facts.channels), (Some(48_000), Some(2)));
        let alone = tracks(&[audio]).unwrap();
        assert_eq!((alone.clock, alone.lead, alone.have_video()), (0, 0, false));
        let silent = tracks(&[video]).unwrap();
        assert_eq!((silent.clock, silent.facts().codec), (0, None));
        assert_eq!(silent.facts().sample_rate, None);
    }

    #[test]
    fn codecs_are_called_what_people_call_them() {
        for (codec_id, private, name) in [
            ("A_AAC", &[0x12, 0x10][..], Some("AAC")),
            ("A_AAC", &[0x2B, 0x92, 0x08], Some("HE-AAC")),
            ("A_AAC", &[0xEB, 0x8A, 0x08], Some("HE-AAC v2")),
            ("A_AAC", b"", Some("AAC")),
            ("A_PCM/INT/LIT", b"", Some("PCM")),
            ("A_EAC3", b"", Some("E-AC-3")),
            ("A_QUACK", b"", None),
        ] {
            let tracks = tracks(&[audio_entry(1, codec_id, private)]).unwrap();
            assert_eq!(tracks.facts().codec, name, "{codec_id}");
        }
    }

    #[test]
    fn titles_and_lengths_do_not_change_a_signature_and_parameters_do() {
        let vorbis = |comment: &[u8], setup: &[u8]| {
            let lengths = [2, 3, comment.len() as u8];
            signature("A_VORBIS", &[&lengths[..], b"idh", comment, setup].concat())
        };
        assert_eq!(vorbis(b"title=a", b"setup"), vorbis(b"title=other", b"setup"));
        assert_ne!(vorbis(b"title=a", b"setup"), vorbis(b"title=a", b"other"));
        let flac = |sums: u8, rate: u8| {
            let mut private = [b"fLaC\x80\0\0\x22".to_vec(), vec![sums; 34]].concat();
            private[8..12].fill(0x10);
            private[18..22].fill(rate);
            signature("A_FLAC", &private)
        };
        assert_eq!(flac(1, 7), flac(2, 7));
        assert_ne!(flac(1, 7), flac(1, 8));
        assert_ne!(signature("A_OPUS", b"a"), signature("A_OPUS", b"b"));
        let opus = tracks(&[audio_entry(1, "A_OPUS", b"")]).unwrap();
        assert_ne!(opus.signature(1_000_000), opus.signature(22_675));
    }

    #[test]
    fn hostile_privates_of_vorbis_and_flac_do_no_harm() {
        for private in [&[2][..], &[2, 255, 255], &[2, 200, 200, 1], b"fLaC", &[2, 1, 1, 9]] {
            let _ = signature("A_VORBIS", private);
            let _ = signature("A_FLAC", private);
        }
    }

    #[test]
    fn entries_without_number_kind_or_end_are_none() {
        let kind = element(id::TRACK_TYPE, &[2]);
        let no_number = element(id::TRACK_ENTRY, &kind);
        assert!(tracks(&[no_number]).is_none());
        let no_kind = element(id::TRACK_ENTRY, &number(id::TRACK_NUMBER, 1));
        assert!(tracks(&[no_kind]).is_none());
        assert!(tracks(&[]).is_none());
        let mut cut = audio_entry(1, "A_OPUS", b"");
        cut.pop();
        assert!(Tracks::parse(&cut).is_none());
        let entry = audio_entry(1, "A_OPUS", b"");
        assert!(tracks(&vec![entry.clone(); TRACKS_MAX]).is_some());
        assert!(tracks(&vec![entry; TRACKS_MAX + 1]).is_none(), "too many");
    }
}
