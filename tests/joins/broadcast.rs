//! A source: a real encoder whose output is read once and sent to every server alike, at the same
//! time, as it comes.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::formats::Format;
use crate::kit::http::Talk;
use crate::kit::server::{Lines, collect};
use crate::station::{Station, Who};
use crate::wait;

/// Bytes read from the encoder at once: all that a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// An encoder on air.
pub struct Broadcast {
    child: Child,
    said: Lines,
    told: Arc<Told>,
    pump: Option<JoinHandle<Sent>>,
}

/// What the pump and its owner tell each other.
#[derive(Debug, Default)]
struct Told {
    breaks_within: AtomicBool,
    breaks_behind: AtomicBool,
    holds: AtomicBool,
}

/// What became of a broadcast.
#[derive(Debug, Default)]
pub struct Sent {
    /// What was sent.
    pub bytes: Vec<u8>,
    /// Servers that refused it or let it go, with their words.
    pub lost: Vec<(Who, String)>,
}

/// A server that is sent to.
struct Sink {
    who: Who,
    talk: Talk,
}

impl Broadcast {
    /// Takes the mount at every station, then starts the encoder.
    pub fn start(format: &Format, mount: &str, stations: &[Station]) -> Self {
        let mut sent = Sent::default();
        let mut sinks = Vec::new();
        for station in stations {
            match station.publish(mount, format.content_type) {
                Ok(talk) => sinks.push(Sink { who: station.who, talk }),
                Err(answer) => sent.lost.push((station.who, format!("refused: {answer:?}"))),
            }
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(format.command()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a shell is there");
        let said = Lines::default();
        collect(child.stderr.take().expect("stderr is piped"), &said);
        let stdout = child.stdout.take().expect("stdout is piped");
        let told = Arc::new(Told::default());
        let heard = Arc::clone(&told);
        let pump = Some(std::thread::spawn(move || forward(stdout, sinks, sent, &heard)));
        Self { child, said, told, pump }
    }

    /// Whether the encoder still runs; if not, what it said.
    pub fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait().expect("it is our child") {
            None => Ok(()),
            Some(status) => {
                let said = self.said.lock().expect("the reader does not panic").join("\n");
                Err(format!("the encoder ended with {status}: {said}"))
            }
        }
    }

    /// Sends nothing more from the next piece on, but stays connected.
    pub fn hold(&self) {
        self.told.holds.store(true, Ordering::Release);
    }

    /// Ends the encoder in order: it writes what belongs to the end of its stream.
    pub fn end(mut self) -> Sent {
        self.stop()
    }

    /// Closes the connections behind what the encoder wrote last, or in its middle (`within`), then
    /// ends it.
    pub fn break_off(mut self, within: bool) -> Sent {
        let told = if within { &self.told.breaks_within } else { &self.told.breaks_behind };
        told.store(true, Ordering::Release);
        let pump = self.pump.take().expect("it is taken at the end only");
        pump.join().expect("the pump only sends")
    }

    fn stop(&mut self) -> Sent {
        self.signal_group("TERM");
        let child = &mut self.child;
        wait::within(Duration::from_secs(2), || child.try_wait().ok().flatten());
        // Whoever is left of the pipeline holds its end open.
        self.signal_group("KILL");
        let _ = self.child.wait();
        let pump = self.pump.take().map(|pump| pump.join().expect("the pump only sends"));
        pump.unwrap_or_default()
    }

    fn signal_group(&self, name: &str) {
        // There may be nobody left, which is as well.
        let _ = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} -{}", self.child.id()))
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends to every sink what the encoder writes, until it ends or is to break off.
fn forward(mut from: ChildStdout, mut sinks: Vec<Sink>, mut sent: Sent, told: &Told) -> Sent {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let [holds, within, behind] = [&told.holds, &told.breaks_within, &told.breaks_behind]
            .map(|flag| flag.load(Ordering::Acquire));
        if holds {
            continue;
        }
        let bytes = if within { &buffer[..count / 2] } else { &buffer[..count] };
        sent.bytes.extend_from_slice(bytes);
        sinks.retain_mut(|sink| match sink.talk.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                sent.lost.push((sink.who, format!("let the source go: {error}")));
                false
            }
        });
        if within || behind {
            break;
        }
    }
    sent
}
