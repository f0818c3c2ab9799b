//! Running a scenario: server, sources, crowds one after the other, a sample every second, and the
//! end of everything. It starts processes and threads and measures; what the figures mean is
//! `results`' and `scenario`'s.

use crate::clock;
use crate::fleet::{self, Fleet};
use crate::frames::Cbr;
use crate::outcome::{Outcome, Progress};
use crate::progress::Display;
use crate::publish::{self, Program, Published};
use crate::report::Percentiles;
use crate::results::{CrowdResults, Results, ServerCost, Sources};
use crate::scenario::{
    self, LoadedCrowd, Machine, Measured, Place, Scenario, judge, source_mounts, wishes,
};
use crate::series::{self, Point, ServerPoint, Tables};
use crate::server::{Choice, UnderTest};
use crate::watch::{self, Sample};
use crate::worker;
use rustix::io::Errno;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Runs `scenario`, which was written as `text`, against its own server or against `choice`.
///
/// # Errors
/// If the server or the sources do not start, or the generator itself fails.
pub fn run(scenario: &Scenario, text: &str, choice: Option<&Choice>) -> io::Result<Results> {
    let crowds = scenario.crowd.iter().map(|crowd| {
        let crowd = crowd.as_ref();
        (crowd.name.as_str(), crowd.listeners)
    });
    let mut display = Display::new(crowds);
    let warnings = wishes(&scenario.host);
    display.phase("starting the server");
    worker::raise_descriptor_limit();
    let mut server = UnderTest::of(scenario, choice)?;
    let tables = server.pid().map(Tables::of).transpose().unwrap_or(None);
    display.phase("waiting for the sources' first audio");
    let sources = SourceThreads::start(scenario, &server.place)?;
    sources.await_audio(scenario, &server.place)?;
    display.phase("sources are on air, listeners come next");
    std::thread::sleep(scenario.lead);

    let crowds = scenario::load(scenario, &server.place);
    let mut load = Load::begin(&server, tables, &crowds)?;
    display.phase("listeners come");
    let lived = load.live(scenario, &mut server, &mut display);
    // What a dying server printed explains more than the error it caused.
    let lived = lived.map_err(|error| explained(error, &server))?;
    display.phase("adding up");
    let (outcomes, ramps, series) = load.finish()?;
    let address = server.place.authority.clone();
    let name = server.name.clone();
    // The server goes first, so that its sources see the end and their threads return.
    let owned = server.pid().is_some();
    drop(server);
    let sources = sources.finish(owned);
    drop(display);
    let crowds = crowd_results(&crowds, outcomes, ramps);
    let mut results = Results {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        ended: clock::wall().icecast_iso8601(),
        server: name,
        address,
        machine: Machine::look(),
        warnings,
        ramp_s: lived.ramp.as_secs_f64(),
        held_s: lived.held.as_secs_f64(),
        sources,
        crowds,
        server_cost: None,
        generator_cores: lived.generator_cores,
        publisher_cores: lived.publisher_cores,
        series,
        verdicts: Vec::new(),
        scenario: text.to_owned(),
    };
    results.server_cost = lived.server.map(|held| held.cost(&results));
    results.verdicts = verdicts(scenario, &results);
    Ok(results)
}

/// The sources, one thread for each kind.
struct SourceThreads {
    threads: Vec<JoinHandle<Result<Published, Errno>>>,
    count: u64,
}

impl SourceThreads {
    fn start(scenario: &Scenario, place: &Place) -> io::Result<Self> {
        let mut sources = Self { threads: Vec::new(), count: 0 };
        for source in scenario.source.iter().map(toml::Spanned::as_ref) {
            let mounts = source_mounts(source);
            sources.count += mounts.len() as u64;
            let cbr = Cbr::new(source.codec, source.bitrate_kbit)
                .ok_or_else(|| io::Error::other("a checked bitrate is one of its codec's"))?;
            let program = Program {
                server: place.address,
                authority: place.authority.clone(),
                mounts,
                user: "source".into(),
                password: place.password.clone(),
                cbr,
                marks: true,
                titles_every: source.titles_every,
                pace: source.pace,
                duration: None,
            };
            let thread = std::thread::Builder::new().name("sources".into());
            sources.threads.push(thread.spawn(move || publish::run(&program))?);
        }
        Ok(sources)
    }

    /// Waits until the last mount of each kind of source has audio.
    fn await_audio(&self, scenario: &Scenario, place: &Place) -> io::Result<()> {
        for (source, thread) in scenario.source.iter().zip(&self.threads) {
            let mounts = source_mounts(source.as_ref());
            let Some(mount) = mounts.last() else { continue };
            let deadline = Instant::now() + SOURCE_PATIENCE;
            while !has_audio(place, mount) {
                if thread.is_finished() || Instant::now() >= deadline {
                    return Err(io::Error::other(format!(
                        "no audio on {mount}: check the source password and the server's limit of \
                         sources"
                    )));
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }

    /// What became of them. Those of a server that was not started here go on until this process
    /// ends, which is soon.
    fn finish(self, server_ended: bool) -> Sources {
        let mut sources = Sources { count: self.count, ..Sources::default() };
        for thread in self.threads {
            if !server_ended && !thread.is_finished() {
                continue;
            }
            let Ok(Ok(published)) = thread.join() else {
                *sources.failures.entry("thread".into()).or_default() += 1;
                continue;
            };
            let refused = published.failures.iter().filter(|(kind, _)| {
                // The end of the server is not a source's failure.
                !(server_ended && matches!(kind.as_str(), "closed" | "reset"))
            });
            for (kind, count) in refused {
                *sources.failures.entry(kind.clone()).or_default() += count;
            }
        }
        sources
    }
}

/// Whether a listener of `mount` gets a first byte of audio.
fn has_audio(place: &Place, mount: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let mut socket = TcpStream::connect_timeout(&place.address, PROBE_PATIENCE)?;
        socket.set_read_timeout(Some(PROBE_PATIENCE))?;
        write!(socket, "GET {mount} HTTP/1.0\r\nHost: {}\r\n\r\n", place.authority)?;
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && head.len() < crate::head::HEAD_BYTES_MAX {
            socket.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let is_ok = head.split(|byte| *byte == b' ').nth(1) == Some(b"200");
        Ok(is_ok && socket.read_exact(&mut byte).is_ok())
    };
    ask().unwrap_or(false)
}

/// Crowds under way and what has been sampled.
struct Load<'a> {
    crowds: &'a [LoadedCrowd],
    /// One for each crowd that has begun, in the order of `crowds`.
    fleets: Vec<Option<Fleet>>,
    began: Instant,
    /// When each crowd began and when all of it had come.
    begun_at: Vec<Option<Instant>>,
    ramps: Vec<Option<Duration>>,
    watched: Watched,
    series: Vec<Point>,
}

/// The server as it is sampled.
struct Watched {
    pid: Option<u32>,
    tables: Option<Tables>,
    first: Option<Sample>,
    last: Option<Sample>,
}

/// What holding found.
struct Lived {
    ramp: Duration,
    held: Duration,
    generator_cores: f64,
    publisher_cores: f64,
    server: Option<HeldServer>,
}

/// The server while it was held.
struct HeldServer {
    before: Sample,
    from: Sample,
    to: Sample,
    descriptors: Option<(u64, u64)>,
    /// Where in the series holding began.
    from_point: usize,
}

impl<'a> Load<'a> {
    fn begin(
        server: &UnderTest,
        tables: Option<Tables>,
        crowds: &'a [LoadedCrowd],
    ) -> io::Result<Self> {
        let pid = server.pid();
        let first = pid.map(Sample::take).transpose()?;
        let watched = Watched { pid, tables, last: first.clone(), first };
        Ok(Self {
            crowds,
            fleets: crowds.iter().map(|_| None).collect(),
            began: Instant::now(),
            begun_at: vec![None; crowds.len()],
            ramps: vec![None; crowds.len()],
            watched,
            series: Vec::new(),
        })
    }

    /// Joining and holding.
    fn live(
        &mut self,
        scenario: &Scenario,
        server: &mut UnderTest,
        display: &mut Display,
    ) -> io::Result<Lived> {
        let last_at = self.crowds.iter().map(|crowd| crowd.at).max().unwrap_or_default();
        let ramp_end = self.began + last_at + scenario.ramp_max;
        let has_come = |load: &Self| load.ramps.iter().all(Option::is_some);
        self.until(ramp_end, has_come, server, display)?;
        let ramp = self.began.elapsed();
        display.phase("holding");

        let workers_from = self.samples()?;
        let own_from = Sample::take(std::process::id())?;
        let from = self.watched.sample()?;
        let descriptors_from = self.watched.descriptors();
        let from_point = self.series.len();
        let held_from = Instant::now();
        self.until(held_from + scenario.duration, |_| false, server, display)?;
        let held = held_from.elapsed();
        let to = self.watched.sample()?;
        let descriptors = descriptors_from.zip(self.watched.descriptors());
        let generator_cores = watch::cores(&workers_from, &self.samples()?);
        let publisher_cores = Sample::take(std::process::id())?.since(&own_from).cores;
        let server = match (self.watched.first.clone(), from, to) {
            (Some(before), Some(from), Some(to)) => {
                Some(HeldServer { before, from, to, descriptors, from_point })
            }
            _ => None,
        };
        Ok(Lived { ramp, held, generator_cores, publisher_cores, server })
    }

    /// Launches crowds that are due, takes in what workers tell and samples every second, until
    /// `deadline` or until `is_done`.
    fn until(
        &mut self,
        deadline: Instant,
        is_done: impl Fn(&Self) -> bool,
        server: &mut UnderTest,
        display: &mut Display,
    ) -> io::Result<()> {
        while !is_done(self) && Instant::now() < deadline {
            if !server.runs() {
                return Err(io::Error::other("the server ended under the load"));
            }
            self.launch_due()?;
            let now = Instant::now();
            for (number, fleet) in self.fleets.iter_mut().enumerate() {
                let Some(fleet) = fleet else { continue };
                fleet.listen_for(Duration::ZERO)?;
                if self.ramps[number].is_none() && fleet.progress().pending == 0 {
                    self.ramps[number] = self.begun_at[number].map(|begun| now - begun);
                }
            }
            let at = self.began.elapsed();
            let last = self.series.last().map_or(-1.0, |point| point.at_s);
            if at.as_secs_f64() >= last + 1.0 {
                self.note(at)?;
                let shown = self.series.last().map(|point| point.crowds.as_slice());
                display.show(at, shown.unwrap_or_default());
            }
            std::thread::sleep(LOOK_EVERY.min(deadline.saturating_duration_since(now)));
        }
        Ok(())
    }

    fn launch_due(&mut self) -> io::Result<()> {
        for (number, crowd) in self.crowds.iter().enumerate() {
            if self.fleets[number].is_none() && self.began.elapsed() >= crowd.at {
                let limit = worker::descriptor_limit();
                let plans = crowd.plan.split(fleet::workers_for(crowd.plan.listeners, limit));
                self.fleets[number] = Some(Fleet::launch(&plans)?);
                self.begun_at[number] = Some(Instant::now());
            }
        }
        Ok(())
    }

    fn note(&mut self, at: Duration) -> io::Result<()> {
        let progress = |(fleet, crowd): (&Option<Fleet>, &LoadedCrowd)| match fleet {
            Some(fleet) => fleet.progress(),
            None => Progress { pending: crowd.plan.listeners, ..Progress::default() },
        };
        let crowds = self.fleets.iter().zip(self.crowds).map(progress).collect();
        let before = self.watched.last.take();
        let now = self.watched.sample()?;
        let server = before
            .zip(now.as_ref())
            .map(|(before, now)| ServerPoint::between(&before, now, self.watched.descriptors()));
        self.watched.last = now;
        let tcp_memory = watch::tcp_memory();
        self.series.push(Point { at_s: at.as_secs_f64(), crowds, server, tcp_memory });
        Ok(())
    }

    fn samples(&self) -> io::Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for fleet in self.fleets.iter().flatten() {
            samples.extend(fleet.samples()?);
        }
        Ok(samples)
    }

    /// Ends all crowds: what each lived through, how long it took to come, and the series.
    #[allow(clippy::type_complexity)]
    fn finish(self) -> io::Result<(Vec<Outcome>, Vec<Option<Duration>>, Vec<Point>)> {
        let outcome = |(fleet, crowd): (Option<Fleet>, &LoadedCrowd)| match fleet {
            Some(fleet) => fleet.stop(),
            None => Ok(Outcome { listeners: crowd.plan.listeners, ..Outcome::default() }),
        };
        let outcomes = self.fleets.into_iter().zip(self.crowds).map(outcome);
        Ok((outcomes.collect::<io::Result<_>>()?, self.ramps, self.series))
    }
}

impl Watched {
    fn sample(&self) -> io::Result<Option<Sample>> {
        self.pid.map(Sample::take).transpose()
    }

    fn descriptors(&self) -> Option<u64> {
        self.tables.as_ref().and_then(Tables::open)
    }
}

impl HeldServer {
    fn cost(&self, results: &Results) -> ServerCost {
        let held = results.series.iter().skip(self.from_point);
        let memory: Vec<_> = held
            .filter_map(|point| {
                let private = point.server.as_ref()?.memory.private_dirty;
                Some((point.at_s, private as f64))
            })
            .collect();
        let private = |sample: &Sample| sample.memory.private_dirty as f64;
        let grown = private(&self.to) - private(&self.before);
        ServerCost {
            cost: self.to.since(&self.from),
            memory_before: self.before.memory,
            bytes_per_listener: grown / results.at_end().max(1) as f64,
            memory_slope: series::slope(&memory),
            descriptors: self.descriptors,
        }
    }
}

fn crowd_results(
    crowds: &[LoadedCrowd],
    outcomes: Vec<Outcome>,
    ramps: Vec<Option<Duration>>,
) -> Vec<CrowdResults> {
    let figures = crowds.iter().zip(outcomes).zip(ramps);
    let crowd = |((crowd, outcome), ramp): ((&LoadedCrowd, Outcome), Option<Duration>)| {
        let storm = &outcome.storm;
        let ramp = if crowd.plan.behaviour.storm_at.is_some() {
            (storm.closed > 0 && storm.reconnected == storm.closed)
                .then(|| Duration::from_micros(storm.served_us.max()))
        } else {
            ramp.filter(|_| outcome.failures.is_empty())
        };
        CrowdResults {
            name: crowd.name.clone(),
            mounts: crowd.plan.mounts.len(),
            expected_rate: crowd.plan.bytes_per_s,
            ramp_s: ramp.map(|ramp| ramp.as_secs_f64()),
            percentiles: Percentiles::from(&outcome),
            outcome,
        }
    };
    figures.map(crowd).collect()
}

fn verdicts(scenario: &Scenario, results: &Results) -> Vec<scenario::Verdict> {
    let limits = scenario.crowd.iter().map(|crowd| scenario.limits.for_crowd(crowd.as_ref()));
    let mut verdicts: Vec<_> = limits
        .zip(&results.crowds)
        .flat_map(|(limits, crowd)| {
            let ramp = crowd.ramp_s.map(Duration::from_secs_f64);
            limits.judge(&crowd.name, &crowd.outcome, crowd.expected_rate, ramp)
        })
        .collect();
    let cost = results.server_cost.as_ref();
    verdicts.extend(judge(
        &scenario.limits,
        &Measured {
            cores: cost.map(|cost| cost.cost.cores),
            bytes_per_listener: cost.map(|cost| cost.bytes_per_listener),
            memory_slope: cost.and_then(|cost| cost.memory_slope),
            descriptors: cost.and_then(|cost| cost.descriptors),
        },
    ));
    verdicts
}

fn explained(error: io::Error, server: &UnderTest) -> io::Error {
    let tail = server.log_tail();
    if tail.is_empty() { error } else { io::Error::other(format!("{error}\n{tail}")) }
}

/// How exactly the end of a ramp is seen.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A thousand sources log in one after the other within a few seconds.
const SOURCE_PATIENCE: Duration = Duration::from_secs(60);
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
