//! Where one source's stream ends and the next one's begins: a listener who stays has to decode all
//! of both as one stream, without a word from the decoder and without a gap.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::batch::keep;
use crate::broadcast::Broadcast;
use crate::decode::decode;
use crate::formats::Format;
use crate::listen::{Hears, record};
use crate::station::Station;
use crate::tail::{Whole, links};
use crate::wait;

/// The first source is on air for so long before somebody listens: less than the burst, so that the
/// listener hears it from its beginning.
const LEAD: Duration = Duration::from_secs(1);
/// How long each source is on air. Audio in WebM comes in clusters of five seconds.
const ON_AIR: Duration = Duration::from_secs(8);
/// How long the mount has no source: long for a player, short beside `linger`.
const AWAY: Duration = Duration::from_secs(1);
/// How long the listener stays: all of both, and an encoder that starts slowly.
const STAYS: Duration = Duration::from_secs(20);
/// How much of the sound may be lost or won at a seam, in seconds: the unit that was broken off,
/// and what an encoder cuts off or adds at its beginning.
const SECONDS_OFF_MAX: f64 = 0.3;

/// How one source follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// The first breaks off in the middle of a unit, and comes back.
    Restart,
    /// The second takes the mount while the first is on air.
    Takeover,
}

/// What came of a seam.
#[derive(Debug)]
pub struct Crossing {
    format: &'static Format,
    seam: Seam,
    /// Seconds of sound that were heard beyond those that both sources sent, or what went wrong.
    found: Result<f64, String>,
}

impl Crossing {
    /// Whether nobody heard it.
    pub fn is_smooth(&self) -> bool {
        matches!(self.found, Ok(off) if off.abs() <= SECONDS_OFF_MAX)
    }

    /// One line, or more, for whoever looks into it.
    pub fn told(&self) -> String {
        format!("{} {:?}: {:?}", self.format.mount, self.seam, self.found)
    }
}

/// Crosses both seams of each format at a server whose mounts may be taken over.
pub fn cross(formats: &[&'static Format], station: &Station) -> Vec<Crossing> {
    let decoders = Mutex::new(());
    std::thread::scope(|scope| {
        let mut listeners = Vec::new();
        for &format in formats {
            for seam in [Seam::Restart, Seam::Takeover] {
                let decoders = &decoders;
                listeners.push(scope.spawn(move || {
                    let found = crossed(format, seam, station, decoders);
                    Crossing { format, seam, found }
                }));
            }
        }
        listeners.into_iter().map(|one| one.join().expect("it only listens")).collect()
    })
}

/// Crosses one seam; `decoders` lets one ffmpeg run at a time.
fn crossed(
    format: &'static Format,
    seam: Seam,
    station: &Station,
    decoders: &Mutex<()>,
) -> Result<f64, String> {
    let mount = format!("{seam:?}-{}", format.mount).to_lowercase();
    let start = || Broadcast::start(format, &mount, std::slice::from_ref(station));
    let hears = Hears { span: STAYS, with_titles: false };
    let first = start();
    wait::pause(LEAD);
    let (recording, first, second) = std::thread::scope(|scope| {
        let listener = scope.spawn(|| record(station, format, &mount, hears));
        wait::pause(ON_AIR - LEAD);
        let (first, second) = match seam {
            Seam::Restart => {
                let first = first.break_off(format.is_sent_whole).bytes;
                wait::pause(AWAY);
                (first, start())
            }
            Seam::Takeover => {
                // What it sends in the moment of the takeover may be heard or not.
                first.hold();
                let second = start();
                (first.end().bytes, second)
            }
        };
        wait::pause(ON_AIR);
        let second = second.end();
        (listener.join().expect("it only listens"), first, second)
    });
    if let Some((_, words)) = second.lost.first() {
        return Err(format!("the second source: {words}"));
    }
    let _alone = decoders.lock().expect("decoding does not panic");
    let scratch = tempfile::tempdir().expect("a writable temporary folder");
    let play = |bytes: &[u8]| played(scratch.path(), format, bytes);
    let (heard_s, said) = play(&recording.bytes);
    let off = heard_s - play(&first).0 - play(&second.bytes).0;
    let trouble = recording.trouble.unwrap_or_default();
    let found = match trouble.is_empty() && said.is_empty() {
        true => Ok(off),
        false => Err(format!("{off:+.2} s {trouble} {said}")),
    };
    let crossing = Crossing { format, seam, found };
    if !crossing.is_smooth() {
        keep(&mount, &recording.bytes);
    }
    crossing.found
}

/// Seconds of sound in the first track of a stream, and what the decoder says of it.
fn played(scratch: &Path, format: &Format, bytes: &[u8]) -> (f64, String) {
    let whole = Whole::of(format.content_type, bytes);
    let parts = if format.is_cut_to_links { links(&whole.bytes) } else { vec![&*whole.bytes] };
    let decoded = parts.into_iter().map(|part| decode(scratch, format, part));
    decoded.fold((0.0, String::new()), |(seconds, said), part| {
        (seconds + part.seconds[0], said + &part.said)
    })
}

/// The crossings in Markdown, two to a line.
pub fn markdown(crossings: &[Crossing]) -> String {
    let mut text = String::from("| format | restart | takeover |\n|---|---|---|\n");
    let cell = |crossing: &Crossing| match &crossing.found {
        Ok(off) => format!("{off:+.2} s"),
        Err(_) => "failed".into(),
    };
    for pair in crossings.chunks_exact(2) {
        let (restart, takeover) = (cell(&pair[0]), cell(&pair[1]));
        let _ = writeln!(text, "| {} | {restart} | {takeover} |", pair[0].format.name);
    }
    text
}

#[test]
fn crossings_stand_in_pairs() {
    let crossing = |seam, found| Crossing { format: &crate::formats::FORMATS[0], seam, found };
    let pair =
        [crossing(Seam::Restart, Ok(-0.02)), crossing(Seam::Takeover, Err("gone".to_owned()))];
    assert!(pair[0].is_smooth() && !pair[1].is_smooth());
    assert!(!crossing(Seam::Restart, Ok(0.4)).is_smooth());
    assert!(markdown(&pair).ends_with("| MP3, constant rate | -0.02 s | failed |\n"));
}
