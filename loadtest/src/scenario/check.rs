//! What is wrong with a scenario although each of its keys can be read: keys that exclude each
//! other, shares above one, mounts without a source. Every fault names its line and the cure.

use super::format::{Crowd, Scenario, Server, Source};
use crate::args::RATE_MAX;
use crate::frames::Cbr;
use crate::publish::{PACES, TITLES_EVERY_MIN};
use crate::target;
use std::fmt;
use toml::Spanned;

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The line, from 1; `None` if the file as a whole is at fault.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// Reads and checks a scenario.
///
/// # Errors
/// The first fault, with its line.
pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| ScenarioError {
        line: error.span().map(|span| line_of(text, span.start)),
        what: error.message().replace('\n', "; "),
    })?;
    let whole = |what: Result<(), String>| what.map_err(|what| ScenarioError { line: None, what });
    whole(check_whole(&scenario))?;
    if let Some(server) = &scenario.server {
        at(text, server, check_server(server.as_ref()))?;
    }
    for source in &scenario.source {
        at(text, source, check_source(source.as_ref()))?;
    }
    for crowd in &scenario.crowd {
        at(text, crowd, check_crowd(&scenario, crowd.as_ref()))?;
    }
    whole(check_limits(&scenario))?;
    Ok(scenario)
}

fn at<T>(text: &str, place: &Spanned<T>, fault: Result<(), String>) -> Result<(), ScenarioError> {
    fault.map_err(|what| ScenarioError { line: Some(line_of(text, place.span().start)), what })
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

fn check_whole(scenario: &Scenario) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let name = &scenario.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(format!(
            "name = {name:?}: files are named by it, so it has 1 to {NAME_BYTES_MAX} letters, \
             digits and hyphens"
        ));
    }
    if scenario.duration.is_zero() {
        return Err("duration = \"0s\" measures nothing; such as \"30s\"".into());
    }
    if scenario.crowd.is_empty() {
        return Err("there is nobody to listen: add a [[crowd]]".into());
    }
    for (number, crowd) in scenario.crowd.iter().enumerate() {
        let name = &crowd.as_ref().name;
        if scenario.crowd.iter().skip(number + 1).any(|other| other.as_ref().name == *name) {
            return Err(format!("two crowds are called {name:?}; results need names apart"));
        }
    }
    let listeners: u64 =
        scenario.crowd.iter().fold(0, |sum, crowd| sum.saturating_add(crowd.as_ref().listeners));
    if listeners > LISTENERS_MAX {
        return Err(format!("{listeners} listeners in all; at most {LISTENERS_MAX}"));
    }
    Ok(())
}

fn check_server(server: &Server) -> Result<(), String> {
    match (&server.kind, &server.target) {
        (Some(_), Some(_)) => Err("kind starts a server and target names one that runs; keep one \
                                   of them"
            .into()),
        (None, None) => Err("say kind = \"floe\" or \"icecast2\", or target = \"http://…\"".into()),
        (None, Some(_)) if server.config.is_some() || server.program.is_some() => {
            Err("config and program are for a server that is started; remove them or say kind \
                 instead of target"
                .into())
        }
        (Some(_), None) if server.password.is_some() => {
            Err("a server that is started gets a password of its own; remove password".into())
        }
        (Some(kind), None) if *kind != super::Kind::Floe && server.config.is_some() => {
            Err("config is Floe's; icecast2 gets a configuration that fits the scenario".into())
        }
        _ => Ok(()),
    }
}

fn check_source(source: &Source) -> Result<(), String> {
    if !target::is_request_path(&source.mount) {
        return Err(format!("mount = {:?} must begin with / and have no spaces", source.mount));
    }
    if !(1..=SOURCES_MAX).contains(&source.count) {
        return Err(format!("count = {}; 1 to {SOURCES_MAX}", source.count));
    }
    let (codec, kbit) = (source.codec, source.bitrate_kbit);
    if Cbr::new(codec, kbit).is_none() {
        return Err(format!("bitrate_kbit = {kbit}; one of {:?}", codec.bitrates()));
    }
    if !PACES.contains(&source.pace) {
        return Err(format!("pace = {:?}; {:?} to {:?}", source.pace, PACES.start(), PACES.end()));
    }
    if source.titles_every.is_some_and(|every| every < TITLES_EVERY_MIN) {
        return Err(format!("titles_every is too short; at least {TITLES_EVERY_MIN:?}"));
    }
    Ok(())
}

fn check_crowd(scenario: &Scenario, crowd: &Crowd) -> Result<(), String> {
    if crowd.listeners == 0 {
        return Err("listeners = 0; at least 1".into());
    }
    if !(0.0..=RATE_MAX).contains(&crowd.rate) {
        return Err(format!("rate = {}; 0 (all at once) to {RATE_MAX} a second", crowd.rate));
    }
    if crowd.connecting_max == 0 {
        return Err("connecting_max = 0 connects nobody; at least 1".into());
    }
    let shares = [
        ("slow_fraction", crowd.slow_fraction),
        ("slow_rate", crowd.slow_rate),
        ("stop_fraction", crowd.stop_fraction),
        ("half_open_fraction", crowd.half_open_fraction),
        ("slow_head_fraction", crowd.slow_head_fraction),
    ];
    for (name, share) in shares {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("{name} = {share}; 0 to 1"));
        }
    }
    let apart = shares.iter().filter(|(name, _)| *name != "slow_rate").map(|(_, share)| share);
    // A hair of room, because 0.1 + 0.2 + 0.7 is a hair above 1.
    if apart.sum::<f64>() > 1.0 + 1e-9 {
        return Err("the fractions add up to more than 1; nobody is two things at once".into());
    }
    if !(0.0..=RATE_MAX).contains(&crowd.leaves_per_s) {
        return Err(format!("leaves_per_s = {}; 0 to {RATE_MAX}", crowd.leaves_per_s));
    }
    let mixed = crowd.user_agents.values().fold(0_u32, |sum, count| sum.saturating_add(*count));
    if !crowd.user_agents.is_empty() && !(1..=AGENTS_MAX).contains(&mixed) {
        return Err(format!("the counts of user_agents add up to {mixed}; 1 to {AGENTS_MAX}"));
    }
    if let Some(bad) = crowd.user_agents.keys().find(|name| name.contains(char::is_control)) {
        return Err(format!("user agent {bad:?} has a control character; it ends the header"));
    }
    check_mounts(scenario, crowd)?;
    let limits = crowd.limits;
    if crowd.verify == 0 && (limits.no_loss == Some(true) || limits.max_delay_p99.is_some()) {
        return Err("no_loss and max_delay_p99 need checked frames: set verify above 0".into());
    }
    Ok(())
}

fn check_mounts(scenario: &Scenario, crowd: &Crowd) -> Result<(), String> {
    if crowd.mounts.is_empty() && scenario.source.is_empty() {
        return Err("neither mounts nor a [[source]]: say what is listened to".into());
    }
    if !(1..=SOURCES_MAX).contains(&crowd.mount_count) {
        return Err(format!("mount_count = {}; 1 to {SOURCES_MAX}", crowd.mount_count));
    }
    if let Some(bad) = crowd.mounts.iter().find(|mount| !target::is_request_path(mount)) {
        return Err(format!("mount {bad:?} must begin with / and have no spaces"));
    }
    if crowd.verify > 0 && scenario.source.is_empty() {
        return Err(
            "verify needs generated sources, whose frames carry marks: add a [[source]]".into()
        );
    }
    if crowd.bitrate_kbit.is_some() {
        return Ok(());
    }
    let mut rates = Vec::new();
    for mount in super::program::mounts_of(scenario, crowd) {
        let Some(kbit) = super::program::kbit_of(scenario, &mount) else {
            return Err(format!(
                "no [[source]] publishes {mount:?}: add one, or set bitrate_kbit if another \
                 program publishes it"
            ));
        };
        if !rates.contains(&kbit) {
            rates.push(kbit);
        }
    }
    match rates.as_slice() {
        [] | [_] => Ok(()),
        _ => Err(format!(
            "its mounts have {rates:?} kbit/s: make a crowd for each bitrate, or set bitrate_kbit"
        )),
    }
}

fn check_limits(scenario: &Scenario) -> Result<(), String> {
    let limits = &scenario.limits;
    let checks = scenario.crowd.iter().any(|crowd| crowd.as_ref().verify > 0);
    if !checks && (limits.no_loss == Some(true) || limits.max_delay_p99.is_some()) {
        return Err("[limits]: no_loss and max_delay_p99 need a crowd with verify above 0".into());
    }
    let of_server = limits.max_server_cores.is_some()
        || limits.max_server_bytes_per_listener.is_some()
        || limits.max_memory_slope_kib_per_h.is_some()
        || limits.max_descriptor_growth.is_some();
    let server = scenario.server.as_ref().map(Spanned::as_ref);
    if of_server && server.is_some_and(|server| server.target.is_some()) {
        return Err("[limits]: what the server costs is only known if kind starts it".into());
    }
    Ok(())
}

/// Names of files stay readable.
const NAME_BYTES_MAX: usize = 64;
/// Far above what the ports of 127.0.0.0/8 and one machine's memory hold.
const LISTENERS_MAX: u64 = 10_000_000;
/// As many as `publish --count` takes.
const SOURCES_MAX: u32 = 10_000;
/// The mix stands in every worker's plan, name by name.
const AGENTS_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"good\"\nduration = \"2s\"\n[server]\nkind = \"floe\"\n\
                        [[source]]\nmount = \"/live\"\n[[crowd]]\nname = \"all\"\nlisteners = 5\n";

    const PAGE: &str = include_str!("../../../docs/loadtest.md");

    fn fault(text: &str) -> ScenarioError {
        parse(text).unwrap_err()
    }

    #[test]
    fn a_small_scenario_is_enough() {
        let scenario = parse(GOOD).unwrap();
        assert_eq!(scenario.crowd[0].as_ref().listeners, 5);
        assert_eq!(scenario.lead.as_secs(), 6);
    }

    #[test]
    fn every_scenario_of_the_folder_is_sound_and_named_like_its_file() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let scenario = parse(&std::fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(path.file_stem().unwrap().to_str(), Some(scenario.name.as_str()));
            assert!(!scenario.about.is_empty(), "{}", path.display());
            assert!(PAGE.contains(&format!("`{}`", scenario.name)), "{}", path.display());
            count += 1;
        }
        assert!(count >= 12, "{count}");
    }

    /// The keys are taken from the fault that an unknown one makes: it lists those there are.
    #[test]
    fn the_page_explains_every_key() {
        let (head, crowd) = GOOD.split_once("[server]\n").unwrap();
        for text in [
            format!("unknown = 1\n{GOOD}"),
            format!("{head}[server]\nunknown = 1\n{crowd}"),
            GOOD.replace("[[source]]\n", "[[source]]\nunknown = 1\n"),
            format!("{GOOD}unknown = 1\n"),
            format!("{GOOD}[limits]\nunknown = 1\n"),
            format!("{GOOD}limits = {{ unknown = 1 }}\n"),
        ] {
            let what = fault(&text).what;
            let (_, keys) = what.split_once("expected one of ").expect("it lists the keys");
            let tables = ["`server`", "`source`", "`crowd`", "`host`"];
            for key in keys.split(", ").filter(|key| !tables.contains(key)) {
                assert!(PAGE.contains(key), "docs/loadtest.md lacks {key}");
            }
        }
    }

    #[test]
    fn unknown_and_broken_keys_are_named_with_their_line() {
        let unknown = fault(&GOOD.replace("listeners = 5", "listners = 5"));
        assert!(unknown.what.contains("listners") && unknown.what.contains("`listeners`"));
        assert!(unknown.line.is_some_and(|line| (7..=9).contains(&line)), "{unknown}");
        let broken = fault(&GOOD.replace("\"2s\"", "\"2 parsecs\""));
        assert_eq!(broken.line, Some(2), "{broken}");
        assert!(broken.what.contains("such as"), "{broken}");
        for cut in (0..GOOD.len()).filter(|&cut| GOOD.is_char_boundary(cut)) {
            // No cut may panic; the last ones are valid by themselves.
            let _ = parse(&GOOD[..cut]);
        }
    }

    #[test]
    fn faults_between_keys_are_told_with_the_line_of_their_section() {
        let cases = [
            ("kind = \"floe\"", "kind = \"floe\"\ntarget = \"http://127.0.0.1\"", Some(3), "keep"),
            ("kind = \"floe\"", "", Some(3), "say kind"),
            ("kind = \"floe\"", "kind = \"icecast2\"\nconfig = \"x\"", Some(3), "Floe's"),
            ("\"/live\"", "\"live\"", Some(5), "begin with /"),
            ("\"/live\"", "\"/live\"\nbitrate_kbit = 129", Some(5), "one of"),
            ("\"/live\"", "\"/live\"\ncount = 0", Some(5), "1 to"),
            ("listeners = 5", "listeners = 0", Some(7), "at least 1"),
            ("listeners = 5", "listeners = 5\nrate = -1.0", Some(7), "a second"),
            ("listeners = 5", "listeners = 5\nslow_fraction = 1.5", Some(7), "0 to 1"),
            (
                "listeners = 5",
                "listeners = 5\nslow_fraction = 0.6\nstop_fraction = 0.6",
                Some(7),
                "more than 1",
            ),
            ("listeners = 5", "listeners = 5\nmounts = [\"/other\"]", Some(7), "no [[source]]"),
            ("listeners = 5", "listeners = 5\nlimits = { no_loss = true }", Some(7), "verify"),
            ("listeners = 5", "listeners = 5\nuser_agents = { x = 0 }", Some(7), "add up to 0"),
            ("\"good\"", "\"no good\"", None, "hyphens"),
            ("\"2s\"", "\"0s\"", None, "measures nothing"),
        ];
        for (from, to, line, part) in cases {
            let error = fault(&GOOD.replacen(from, to, 1));
            assert_eq!(error.line, line, "{error}");
            assert!(error.what.contains(part), "{part:?} in {error}");
        }
        let twice = format!("{GOOD}[[crowd]]\nname = \"all\"\nlisteners = 5\n");
        assert!(fault(&twice).what.contains("two crowds"));
        let unchecked = format!("{GOOD}[limits]\nno_loss = true\n");
        assert!(fault(&unchecked).what.contains("verify above 0"));
    }
}
