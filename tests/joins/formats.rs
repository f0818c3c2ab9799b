//! The formats that are joined: how each is encoded, what its source calls it, and which players
//! can be expected to play it. It runs nothing.

/// One row of the join table.
#[derive(Debug)]
pub struct Format {
    /// Its name in the table.
    pub name: &'static str,
    /// Its mount without the slash; also the suffix-free name of its files.
    pub mount: &'static str,
    /// What the source says it sends.
    pub content_type: &'static str,
    /// A shell pipeline that writes the stream to standard output in real time until it is ended.
    /// `{sound}` and `{picture}` stand for a live input of ffmpeg, `{pcm}` for one that ends in
    /// raw samples for an encoder behind a pipe.
    pub encoder: &'static str,
    /// What it carries, and so what a player must show.
    pub carries: Carries,
    /// Whether browsers play it.
    pub in_browsers: bool,
    /// Whether listeners may ask for titles between the bytes.
    pub has_icy: bool,
    /// Whether a frame goes out when it is whole. A transport stream goes out packet by packet, so
    /// those who listen have the first half of a frame that its source breaks off in.
    pub is_sent_whole: bool,
    /// Whether ffmpeg has to be given each link of a chain alone: it plays chains of one track
    /// only, and none of Speex, whoever wrote them.
    pub is_cut_to_links: bool,
    /// Seconds after which the source begins a new stream within the connection.
    pub link_s: Option<u32>,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// One track of sound.
    Sound,
    /// Two tracks of sound.
    TwoSounds,
    /// Sound and video.
    Picture,
}

impl Carries {
    /// Whether there is video.
    pub fn has_picture(self) -> bool {
        self == Self::Picture
    }
}

/// A tone in noise, in stereo: a codec that loses its place is heard at once, and no encoder finds
/// it so easy that it sends next to nothing.
const SOUND: &str = "ffmpeg -nostdin -v error -re -f lavfi -i \"sine=f=440:r={rate}[a];\
                     anoisesrc=a=0.05:r={rate}[b];[a][b]amix=inputs=2,\
                     aformat=sample_fmts=s16:channel_layouts=stereo[out0]\"";
/// A moving test picture, small enough that three encoders fit on one CPU.
const PICTURE: &str = "-f lavfi -i testsrc2=s=160x120:r=15";
/// What raw samples behind `{pcm}` are.
const PCM: &str = "-ac 2 -ar {rate} -flush_packets 1 -f s16le -";

impl Format {
    /// The pipeline as a shell gets it.
    pub fn command(&self) -> String {
        // Opus has no rate but 48 kHz; the others get what most radio is made in.
        let rate = if self.encoder.contains("opus") { "48000" } else { "44100" };
        let pcm = format!("{SOUND} {PCM}");
        let once = self.encoder.replace("{pcm}", &pcm).replace("{sound}", SOUND);
        let once = once.replace("{picture}", PICTURE).replace("{rate}", rate);
        match self.link_s {
            None => once,
            // Each song is a stream of its own with a title of its own, as automation sends it.
            Some(seconds) => format!(
                "song=0; while song=$((song + 1)); do {} || exit; done",
                once.replace("{song}", &format!("-t {seconds} -metadata title=\"Song $song\""))
            ),
        }
    }
}

const AUDIO: Format = Format {
    name: "",
    mount: "",
    content_type: "",
    encoder: "",
    carries: Carries::Sound,
    in_browsers: false,
    has_icy: false,
    is_sent_whole: true,
    is_cut_to_links: false,
    link_s: None,
};
const VIDEO: Format = Format { carries: Carries::Picture, ..AUDIO };

/// All rows, in the order of the table.
pub const FORMATS: &[Format] = &[
    Format {
        name: "MP3, constant rate",
        mount: "mp3-cbr",
        content_type: "audio/mpeg",
        encoder: "{sound} -c:a libmp3lame -b:a 128k -write_xing 0 -id3v2_version 0 \
                  -flush_packets 1 -f mp3 -",
        in_browsers: true,
        has_icy: true,
        ..AUDIO
    },
    Format {
        name: "MP3, variable rate (lame)",
        mount: "mp3-vbr",
        content_type: "audio/mpeg",
        encoder: "{pcm} | lame --quiet -r -s 44.1 -V 2 -t - -",
        in_browsers: true,
        has_icy: true,
        ..AUDIO
    },
    Format {
        name: "MP2",
        mount: "mp2",
        content_type: "audio/mpeg",
        encoder: "{sound} -c:a mp2 -b:a 192k -flush_packets 1 -f mp2 -",
        has_icy: true,
        ..AUDIO
    },
    Format {
        name: "AAC in ADTS",
        mount: "aac",
        content_type: "audio/aac",
        encoder: "{sound} -c:a aac -b:a 96k -flush_packets 1 -f adts -",
        in_browsers: true,
        has_icy: true,
        ..AUDIO
    },
    Format {
        name: "AAC in LATM",
        mount: "latm",
        content_type: "audio/aac",
        encoder: "{sound} -c:a aac -b:a 96k -flush_packets 1 -f latm -",
        has_icy: true,
        ..AUDIO
    },
    Format {
        name: "Ogg Vorbis (oggenc)",
        mount: "vorbis",
        content_type: "application/ogg",
        encoder: "{pcm} | oggenc -Q -r -R 44100 -C 2 -q 3 -",
        in_browsers: true,
        ..AUDIO
    },
    Format {
        name: "Ogg Vorbis, a song every 5 s",
        mount: "vorbis-songs",
        content_type: "application/ogg",
        encoder: "{sound} {song} -c:a libvorbis -q:a 3 -flush_packets 1 -f ogg -",
        in_browsers: true,
        link_s: Some(5),
        ..AUDIO
    },
    Format {
        name: "Ogg Opus (opusenc)",
        mount: "opus",
        content_type: "audio/ogg",
        encoder: "{pcm} | opusenc --quiet --raw --raw-rate 48000 --bitrate 96 - -",
        in_browsers: true,
        ..AUDIO
    },
    Format {
        name: "Ogg Opus, a song every 5 s",
        mount: "opus-songs",
        content_type: "audio/ogg",
        encoder: "{sound} {song} -c:a libopus -b:a 96k -flush_packets 1 -f ogg -",
        in_browsers: true,
        link_s: Some(5),
        ..AUDIO
    },
    Format {
        name: "Ogg FLAC",
        mount: "ogg-flac",
        content_type: "audio/ogg",
        encoder: "{sound} -c:a flac -flush_packets 1 -f ogg -",
        in_browsers: true,
        ..AUDIO
    },
    // Padding before the second song makes ffmpeg lose its place in what flac itself wrote.
    Format {
        name: "Ogg FLAC, a song every 5 s (flac)",
        mount: "ogg-flac-songs",
        content_type: "audio/ogg",
        encoder: "{sound} {song} -flush_packets 1 -f s16le - | flac -s -f --ogg \
                  --no-padding --force-raw-format --endian=little --sign=signed --channels=2 \
                  --bps=16 --sample-rate={rate} -T title=\"Song $song\" -c -",
        in_browsers: true,
        link_s: Some(5),
        ..AUDIO
    },
    Format {
        name: "Ogg Speex (speexenc)",
        mount: "speex",
        content_type: "audio/ogg",
        encoder: "{sound} -ac 1 -ar 16000 -flush_packets 1 -f s16le - | \
                  speexenc --rate 16000 --le --16bit - - 2>/dev/null",
        is_cut_to_links: true,
        ..AUDIO
    },
    Format {
        name: "Ogg Theora and Vorbis",
        mount: "theora",
        content_type: "video/ogg",
        encoder: "{sound} {picture} -c:v libtheora -q:v 5 -g 15 -c:a libvorbis -q:a 3 \
                  -flush_packets 1 -f ogg -",
        is_cut_to_links: true,
        ..VIDEO
    },
    // Not the other way round: with Vorbis first VLC plays no such file, even from its beginning.
    Format {
        name: "Ogg, Opus and Vorbis side by side",
        mount: "ogg-two",
        content_type: "application/ogg",
        encoder: "{sound} -map 0:a -map 0:a -c:a:0 libopus -c:a:1 libvorbis -flush_packets 1 \
                  -f ogg -",
        carries: Carries::TwoSounds,
        is_cut_to_links: true,
        ..AUDIO
    },
    Format {
        name: "FLAC (flac)",
        mount: "flac",
        content_type: "audio/flac",
        encoder: "{pcm} | flac -s --force-raw-format --endian=little --sign=signed --channels=2 \
                  --bps=16 --sample-rate={rate} -c -",
        in_browsers: true,
        has_icy: true,
        ..AUDIO
    },
    Format {
        name: "WebM Opus",
        mount: "webm-opus",
        content_type: "audio/webm",
        encoder: "{sound} -c:a libopus -b:a 96k -flush_packets 1 -f webm -",
        in_browsers: true,
        ..AUDIO
    },
    Format {
        name: "WebM Vorbis",
        mount: "webm-vorbis",
        content_type: "audio/webm",
        encoder: "{sound} -c:a libvorbis -q:a 3 -flush_packets 1 -f webm -",
        in_browsers: true,
        ..AUDIO
    },
    Format {
        name: "WebM VP8 and Vorbis",
        mount: "vp8",
        content_type: "video/webm",
        encoder: "{sound} {picture} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 150k -g 15 \
                  -c:a libvorbis -q:a 3 -flush_packets 1 -f webm -",
        in_browsers: true,
        ..VIDEO
    },
    Format {
        name: "WebM VP9 and Opus",
        mount: "vp9",
        content_type: "video/webm",
        encoder: "{sound} {picture} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 150k \
                  -g 15 -c:a libopus -b:a 96k -flush_packets 1 -f webm -",
        in_browsers: true,
        ..VIDEO
    },
    Format {
        name: "Matroska H.264 and AAC",
        mount: "matroska",
        content_type: "video/x-matroska",
        encoder: "{sound} {picture} -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt \
                  yuv420p -g 15 -c:a aac -flush_packets 1 -f matroska -",
        ..VIDEO
    },
    Format {
        name: "MPEG-TS H.264 and AAC",
        mount: "ts",
        content_type: "video/mp2t",
        encoder: "{sound} {picture} -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt \
                  yuv420p -g 15 -c:a aac -flush_packets 1 -f mpegts -",
        is_sent_whole: false,
        ..VIDEO
    },
    Format {
        name: "MPEG-TS AAC",
        mount: "ts-aac",
        content_type: "video/mp2t",
        encoder: "{sound} -c:a aac -b:a 96k -flush_packets 1 -f mpegts -",
        is_sent_whole: false,
        ..AUDIO
    },
    Format {
        name: "WAV",
        mount: "wav",
        content_type: "audio/wav",
        encoder: "{sound} -c:a pcm_s16le -flush_packets 1 -f wav -",
        in_browsers: true,
        ..AUDIO
    },
];

#[test]
fn every_format_is_a_mount_of_its_own_and_its_command_is_whole() {
    for (index, format) in FORMATS.iter().enumerate() {
        assert!(FORMATS[..index].iter().all(|other| other.mount != format.mount), "{format:?}");
        let command = format.command();
        assert!(!command.contains(['{', '}']), "{command}");
        assert!(format.link_s.is_some() == command.contains("title="), "{command}");
    }
}
