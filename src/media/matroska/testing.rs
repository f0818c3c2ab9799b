//! Made-up Matroska for this format's tests. Tests only.

use super::ebml::{UNKNOWN, id, push_header};

/// An element with this body.
pub(super) fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_header(&mut out, id, body.len() as u64);
    out.extend_from_slice(body);
    out
}

/// The head of an element that ends where something stands that cannot be in it.
pub(super) fn open(id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    push_header(&mut out, id, UNKNOWN);
    out
}

/// An element that holds a number.
pub(super) fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A SimpleTag with a name and a string.
pub(super) fn simple_tag(name: &str, string: &str) -> Vec<u8> {
    let name = element(id::TAG_NAME, name.as_bytes());
    let string = element(id::TAG_STRING, string.as_bytes());
    element(id::SIMPLE_TAG, &[name, string].concat())
}

/// An EBML header.
pub(super) fn ebml_header(doc_type: &str) -> Vec<u8> {
    element(id::EBML, &element(id::DOC_TYPE, doc_type.as_bytes()))
}

/// The entry of an audio track with 48 kHz and two channels.
pub(super) fn audio_entry(track: u64, codec_id: &str, private: &[u8]) -> Vec<u8> {
    let rate = element(id::SAMPLING_FREQUENCY, &48_000_f32.to_be_bytes());
    let audio = element(id::AUDIO, &[rate, number(id::CHANNELS, 2)].concat());
    let private = element(id::CODEC_PRIVATE, private);
    entry(track, 2, codec_id, &[private, audio].concat())
}

/// The entry of a video track.
pub(super) fn video_entry(track: u64, codec_id: &str) -> Vec<u8> {
    entry(track, 1, codec_id, &[])
}

fn entry(track: u64, kind: u64, codec_id: &str, more: &[u8]) -> Vec<u8> {
    let fields = [
        number(id::TRACK_NUMBER, track),
        number(id::TRACK_TYPE, kind),
        element(id::CODEC_ID, codec_id.as_bytes()),
        more.to_vec(),
    ];
    element(id::TRACK_ENTRY, &fields.concat())
}

/// Everything before the first cluster, with a segment of unknown size.
pub(super) fn head(entries: &[Vec<u8>]) -> Vec<u8> {
    let info = element(id::INFO, &number(id::TIMESTAMP_SCALE, 1_000_000));
    let tracks = element(id::TRACKS, &entries.concat());
    [ebml_header("webm"), open(id::SEGMENT), info, tracks].concat()
}

/// The head of a stream with Opus as track 1.
pub(super) fn opus_head() -> Vec<u8> {
    head(&[audio_entry(1, "A_OPUS", b"OpusHead")])
}

/// The head of a stream with Opus as track 1 and VP8 as track 2.
pub(super) fn film_head() -> Vec<u8> {
    head(&[audio_entry(1, "A_OPUS", b"OpusHead"), video_entry(2, "V_VP8")])
}

/// A SimpleBlock.
pub(super) fn block(track: u8, relative: i16, is_key: bool, frame: &[u8]) -> Vec<u8> {
    let [high, low] = relative.to_be_bytes();
    let head = [0x80 | track, high, low, if is_key { 0x80 } else { 0 }];
    element(id::SIMPLE_BLOCK, &[&head, frame].concat())
}

/// A cluster of blocks, with a size or without.
pub(super) fn cluster(time: u64, is_sized: bool, blocks: &[Vec<u8>]) -> Vec<u8> {
    let body = [number(id::TIMESTAMP, time), blocks.concat()].concat();
    if is_sized { element(id::CLUSTER, &body) } else { [open(id::CLUSTER), body].concat() }
}

/// Blocks of track 1 for `times`, 20 ms apart, in clusters of a second.
pub(super) fn sound(times: std::ops::Range<u64>, is_sized: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let times: Vec<u64> = times.step_by(20).collect();
    for second in times.chunks(50) {
        let blocks: Vec<Vec<u8>> = second
            .iter()
            .map(|time| block(1, (time - second[0]) as i16, true, &[0x2A; 40]))
            .collect();
        out.extend(cluster(second[0], is_sized, &blocks));
    }
    out
}
