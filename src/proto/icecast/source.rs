//! Sources: what their heads say about a stream, and the answer that makes each encoder begin. The
//! answer is the most fragile point of the whole family, so every rule here names its client.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::base::limits;

use super::super::http::{Method, Protocol, RequestHead};
use super::super::text;

/// What a SOURCE without a content type carries: encoders older than the header send MP3 (Icecast
/// 2.4).
const CONTENT_TYPE_ASSUMED: &str = "audio/mpeg";

/// Bytes of a content type; the longest real one, with its codecs, is under 100.
const CONTENT_TYPE_BYTES_MAX: usize = 128;

/// Bytes of all unusual headers together, names and values, so that a listener's head stays under a
/// page of memory. IRC, ICQ and AIM, the ones seen, take under 100.
const OTHERS_BYTES_MAX: usize = 1024;

/// How a source is told to begin, and that its stream was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// It waits for `100 Continue`, and gets its 200 when the stream is over. ffmpeg reads one
    /// block of headers and takes what follows for later; Liquidsoap's PUT insists on the 100; an
    /// early 200 behind the 100, as Icecast 2.4 sends, breaks clients that pair answers with
    /// requests.
    Continue,
    /// It gets its 200 at once: every SOURCE, and PUT without `Expect`, where butt waits for it and
    /// falls back to SOURCE after a silence.
    AtOnce,
}

impl Handshake {
    /// The handshake a head asks for. `Expect` from HTTP/1.0 is void (RFC 9110, 10.1.1).
    pub fn of(head: &RequestHead<'_>) -> Self {
        let waits = head.method == Method::Put
            && head.protocol == Protocol::Http11
            && head.expects_continue();
        if waits { Self::Continue } else { Self::AtOnce }
    }

    /// What to send once the source is let in. The 200 is Icecast 2.4's to the byte: HTTP/1.0 to
    /// whatever version, since Liquidsoap 1.3 broke on 1.1, and no header, since some clients read
    /// one line.
    pub fn welcome(self) -> &'static [u8] {
        match self {
            Self::Continue => b"HTTP/1.1 100 Continue\r\n\r\n",
            Self::AtOnce => b"HTTP/1.0 200 OK\r\n\r\n",
        }
    }

    /// What to send when the source ended its stream in order; empty if it has its 200 already.
    pub fn farewell(self) -> &'static [u8] {
        match self {
            Self::Continue => b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
            Self::AtOnce => b"",
        }
    }
}

/// What a source's head says about its stream, cleaned and bounded: the `ice-` headers of Icecast,
/// or SHOUTcast's `icy-` headers of the same meaning. Of two that mean one thing the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceHeaders {
    /// The content type; empty for a PUT that named none, which is refused with
    /// [`crate::base::CloseReason::NoContentType`] unless the mount's configuration knows it. A
    /// SOURCE without one is taken for MP3.
    pub content_type: String,
    /// `ice-name`: the stream's name.
    pub name: Option<String>,
    /// `ice-description`.
    pub description: Option<String>,
    /// `ice-genre`.
    pub genre: Option<String>,
    /// `ice-url`: the station's page.
    pub url: Option<String>,
    /// `ice-bitrate` or `icy-br` as sent: usually a number of kbit/s, for Vorbis also `Quality 4`.
    pub bitrate: Option<String>,
    /// `ice-public` or `icy-pub`: whether directories may list the stream.
    pub public: Option<bool>,
    /// `ice-audio-info` as sent, which Icecast's `audio_info` statistic shows.
    pub audio_info: Option<String>,
    /// `User-Agent`: the encoder's name for itself.
    pub user_agent: Option<String>,
    /// Bytes between the metadata blocks within the source's own stream, if it has them; at most
    /// [`limits::SOURCE_METAINT_BYTES_MAX`]. Never told to listeners, who have blocks of their own.
    pub inline_interval_bytes: Option<u32>,
    /// All other `ice-` and `icy-` headers, such as `irc`: their names in lower case without the
    /// prefix, and their values.
    pub others: Vec<(String, String)>,
}

/// The members of `ice-audio-info` that say something of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioInfo {
    /// Nominal bitrate in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Samples a second.
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// The encoder's quality setting, in its own words.
    pub quality: Option<String>,
}

/// What was measured of a stream, against which the encoder's own words are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Kilobits a second.
    pub bitrate_kbps: Option<u32>,
    /// Samples a second.
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
}

impl Measured {
    /// What stands in for the value of `name`, a member of `ice-audio-info`, if it is wrong.
    fn instead_of(&self, name: &str, value: &str) -> Option<u32> {
        let named = number(value);
        match name {
            "bitrate" => self.bitrate_kbps.filter(|&kbps| !named.is_some_and(|n| near(n, kbps))),
            "samplerate" => self.sample_rate.filter(|&rate| named != Some(rate)),
            "channels" => self.channels.filter(|&count| named != Some(count)),
            _ => None,
        }
    }
}

/// Whether a measured bitrate can be the nominal one. An encoder with a variable rate is off its
/// nominal one by some; by more than a quarter it is another setting.
fn near(nominal: u32, measured: u32) -> bool {
    nominal.abs_diff(measured) <= nominal / 4
}

impl SourceHeaders {
    /// Reads a source's head. Nothing in it can be refused here: a value that cannot be kept is
    /// left out, one too long is cut.
    pub fn from_head(head: &RequestHead<'_>) -> Self {
        let assumed = if head.method == Method::Source { CONTENT_TYPE_ASSUMED } else { "" };
        let label =
            |name: &str, bytes_max| head.text(name).and_then(|value| text::label(value, bytes_max));
        let mut headers = Self {
            content_type: label("content-type", CONTENT_TYPE_BYTES_MAX)
                .unwrap_or_else(|| assumed.to_owned()),
            user_agent: label("user-agent", limits::LABEL_BYTES_MAX),
            inline_interval_bytes: head
                .text("icy-metaint")
                .and_then(|value| value.parse().ok())
                .filter(|bytes| (1..=limits::SOURCE_METAINT_BYTES_MAX).contains(bytes)),
            ..Self::default()
        };
        for (name, value) in head.headers() {
            let name = name.to_ascii_lowercase();
            let family = name.strip_prefix("ice-").or_else(|| name.strip_prefix("icy-"));
            let value = text::decode(value, None);
            if let Some(name) = family
                && let Some(value) = text::label(value, limits::STREAM_HEADER_BYTES_MAX)
            {
                headers.keep(name, value);
            }
        }
        headers
    }

    /// Nominal bitrate in kbit/s, from whichever header names one.
    pub fn bitrate_kbps(&self) -> Option<u32> {
        let named = self.bitrate.as_deref().and_then(number);
        named.or_else(|| self.audio_info().bitrate_kbps)
    }

    /// `ice-audio-info` taken apart. libshout writes `bitrate=128;channels=2`, others put `ice-`
    /// before each name.
    pub fn audio_info(&self) -> AudioInfo {
        let mut info = AudioInfo::default();
        for member in self.audio_info.as_deref().unwrap_or_default().split(';') {
            let Some((name, value)) = member.split_once('=') else { continue };
            let name = name.trim();
            match name.strip_prefix("ice-").unwrap_or(name) {
                "bitrate" => info.bitrate_kbps = number(value),
                "samplerate" => info.sample_rate = number(value),
                "channels" => info.channels = number(value),
                // libshout percent-encodes each value; a number comes through unchanged.
                "quality" => info.quality = plain(value),
                _ => {}
            }
        }
        info
    }

    /// `ice-audio-info` with the members that were measured otherwise put right; the others stay as
    /// they were sent.
    pub fn audio_info_corrected(&self, measured: &Measured) -> Option<Cow<'_, str>> {
        let sent = self.audio_info.as_deref()?;
        let corrected = |member: &str| {
            let (name, value) = member.split_once('=')?;
            let plain = name.trim();
            let right = measured.instead_of(plain.strip_prefix("ice-").unwrap_or(plain), value)?;
            Some(format!("{name}={right}"))
        };
        if sent.split(';').all(|member| corrected(member).is_none()) {
            return Some(Cow::Borrowed(sent));
        }
        let members = sent.split(';').map(|member| match corrected(member) {
            Some(right) => Cow::Owned(right),
            None => Cow::Borrowed(member),
        });
        Some(Cow::Owned(members.collect::<Vec<_>>().join(";")))
    }

    /// Keeps a header by its name without prefix, unless one of that meaning is there.
    fn keep(&mut self, name: &str, value: String) {
        let place = match name {
            "name" => &mut self.name,
            "description" => &mut self.description,
            "genre" => &mut self.genre,
            "url" => &mut self.url,
            "bitrate" | "br" => &mut self.bitrate,
            "audio-info" => &mut self.audio_info,
            "public" | "pub" => {
                self.public = self.public.or(Some(number(&value).is_some_and(|flag| flag != 0)));
                return;
            }
            // A password, and the interval of the source's own blocks, are not the listeners'
            // business.
            "password" | "metaint" => return,
            other => return self.keep_other(other, value),
        };
        if place.is_none() {
            *place = Some(value);
        }
    }

    fn keep_other(&mut self, name: &str, value: String) {
        let bytes: usize = self.others.iter().map(|(name, value)| name.len() + value.len()).sum();
        let known = self.others.iter().any(|(present, _)| present == name);
        if !known && !name.is_empty() && bytes + name.len() + value.len() <= OTHERS_BYTES_MAX {
            self.others.push((name.to_owned(), value));
        }
    }
}

/// A percent-encoded word as a label.
fn plain(encoded: &str) -> Option<String> {
    let bytes: Cow<'_, [u8]> = percent_decode_str(encoded).into();
    text::label(text::decode(&bytes, None), limits::LABEL_BYTES_MAX)
}

/// The number a value starts with, as C reads it: encoders write `128`, `128 kbps` and `44100.0`.
pub(super) fn number(value: &str) -> Option<u32> {
    let value = value.trim_start();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    value[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(head: &str, look: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let mut buf = head.replace('\n', "\r\n").into_bytes();
        look(&RequestHead::parse(&mut buf).expect("valid"))
    }

    fn headers(lines: &str) -> SourceHeaders {
        with(&format!("PUT /live HTTP/1.1\n{lines}\n"), SourceHeaders::from_head)
    }

    #[test]
    fn each_source_gets_the_answer_it_waits_for() {
        let expect = "Expect: 100-continue\n\n";
        for (head, handshake) in [
            (format!("PUT /live HTTP/1.1\n{expect}"), Handshake::Continue),
            (format!("PUT /live HTTP/1.0\n{expect}"), Handshake::AtOnce),
            (format!("SOURCE /live HTTP/1.1\n{expect}"), Handshake::AtOnce),
            ("PUT /live HTTP/1.1\n\n".to_owned(), Handshake::AtOnce),
        ] {
            assert_eq!(with(&head, Handshake::of), handshake, "{head}");
        }
        assert!(Handshake::AtOnce.farewell().is_empty());
    }

    #[test]
    fn a_source_without_a_type_is_mp3_and_a_put_without_one_is_not() {
        let source = with("SOURCE /live HTTP/1.0\n\n", SourceHeaders::from_head);
        assert_eq!(source.content_type, "audio/mpeg");
        assert_eq!(headers("").content_type, "");
        let headers = headers("Content-Type: audio/ogg; codecs=opus\n");
        assert_eq!(headers.content_type, "audio/ogg; codecs=opus");
    }

    #[test]
    fn the_interval_of_a_sources_own_blocks_is_kept_within_bounds_and_not_repeated() {
        for (value, kept) in [
            ("16000", Some(16_000)),
            ("1", Some(1)),
            ("1048576", Some(1_048_576)),
            ("0", None),
            ("1048577", None),
            ("-1", None),
            ("many", None),
        ] {
            for method in ["SOURCE /live HTTP/1.0", "SOURCE /live ICE/1.0", "PUT /live HTTP/1.1"] {
                let head = format!("{method}\nICY-MetaInt: {value}\n\n");
                let headers = with(&head, SourceHeaders::from_head);
                assert_eq!(headers.inline_interval_bytes, kept, "{head}");
                assert_eq!(headers.others, []);
            }
        }
    }

    #[test]
    fn what_was_measured_wins_over_what_an_encoder_says() {
        let sent = "ice-bitrate=128;ice-channels=2; samplerate=44100;quality=0%2e4";
        let headers = headers(&format!("ice-audio-info: {sent}\n"));
        let corrected =
            |measured| headers.audio_info_corrected(&measured).expect("it was sent").into_owned();
        let fitting =
            Measured { bitrate_kbps: Some(141), sample_rate: Some(44_100), channels: Some(2) };
        assert_eq!(corrected(Measured::default()), sent);
        assert_eq!(corrected(fitting), sent);
        let other =
            Measured { bitrate_kbps: Some(320), sample_rate: Some(48_000), channels: Some(1) };
        assert_eq!(
            corrected(other),
            "ice-bitrate=320;ice-channels=1; samplerate=48000;quality=0%2e4"
        );
        let unsaid = SourceHeaders::default();
        assert_eq!(unsaid.audio_info_corrected(&other), None);
    }

    #[test]
    fn either_family_of_names_is_understood() {
        let ice = headers(
            "Ice-Name: A\nICE-GENRE: B\nice-description: C\nice-url: D\nice-public: 1\n\
             ice-bitrate: 96\nice-irc: #e\n",
        );
        let icy = headers(
            "icy-name: A\nicy-genre: B\nicy-description: C\nicy-url: D\nicy-pub: 1\n\
             icy-br: 96\nicy-irc: #e\n",
        );
        assert_eq!(ice, icy);
        let words = [&ice.name, &ice.genre, &ice.description, &ice.url, &ice.bitrate];
        assert_eq!(words.map(|word| word.as_deref().unwrap_or("-")), ["A", "B", "C", "D", "96"]);
        assert_eq!((ice.public, ice.bitrate_kbps()), (Some(true), Some(96)));
        assert_eq!(ice.others, [("irc".to_owned(), "#e".to_owned())]);
    }

    #[test]
    fn audio_info_is_taken_apart_with_and_without_prefixes() {
        for value in [
            "bitrate=128;samplerate=44100;channels=2;quality=4.0",
            "ice-bitrate=128; ice-samplerate=44100;ice-channels=2;quality= 4%2E0;junk;=",
        ] {
            let headers = headers(&format!("ice-audio-info: {value}\n"));
            let info = headers.audio_info();
            assert_eq!(info.bitrate_kbps, Some(128));
            assert_eq!((info.sample_rate, info.channels), (Some(44_100), Some(2)));
            assert_eq!(info.quality.as_deref(), Some("4.0"));
            assert_eq!(headers.bitrate_kbps(), Some(128));
        }
        assert_eq!(headers("ice-audio-info: bitrate=x\n").audio_info(), AudioInfo::default());
    }

    #[test]
    fn secrets_and_intervals_are_not_repeated() {
        let headers = headers("ice-password: x\nicy-metaint: 8192\nX: y\nice-: z\n");
        assert_eq!(headers.inline_interval_bytes, Some(8192));
        assert_eq!(SourceHeaders { inline_interval_bytes: None, ..headers }, self::headers(""));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut lines = String::new();
        for index in 0..60 {
            lines.push_str(&format!("ice-{index:02}: {}\n", "x".repeat(60)));
        }
        let headers = headers(&format!("{lines}ice-name: {}\n", "é".repeat(300)));
        let bytes: usize =
            headers.others.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes <= OTHERS_BYTES_MAX && headers.others.len() > 10);
        assert_eq!(headers.name.map(|name| name.len()), Some(limits::STREAM_HEADER_BYTES_MAX));
    }

    #[test]
    fn of_two_equal_names_the_first_counts() {
        let headers = headers("ice-name: A\nIce-Name: B\nicy-name: C\nice-public: 0\nicy-pub: 1\n");
        assert_eq!((headers.name.as_deref(), headers.public), (Some("A"), Some(false)));
    }
}
