//! Every format as the source core cuts it, tried on files of real encoders: ffprobe must find the
//! same units, and ffmpeg must decode what a newcomer would get from every start point on. No
//! server runs here; `tests/joins.rs` does the same through one. Needs ffmpeg and ffprobe, and
//! fails without.

#[path = "formats/flac.rs"]
mod flac;
#[path = "formats/kit.rs"]
mod kit;
#[path = "formats/latm.rs"]
mod latm;
#[path = "formats/mpeg.rs"]
mod mpeg;
#[path = "formats/mpegts.rs"]
mod mpegts;
#[path = "formats/ogg.rs"]
mod ogg;
#[path = "formats/wav.rs"]
mod wav;
#[path = "formats/webm.rs"]
mod webm;
