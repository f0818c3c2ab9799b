//! Settings by mount path: which section of the file speaks for a path. A path is looked up once a
//! session and never per send; a core keeps the `Arc` it was handed and shares it with the others.

use super::secret::Secret;
use crate::base::Burst;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One `[mounts."…"]` section. What a source says about itself in its headers gives way to what is
/// set here, as Icecast's `<stream-name>` and its kin do.
#[derive(Clone, Debug, PartialEq)]
pub struct MountSettings {
    /// Name of the stream.
    pub name: Option<String>,
    /// Description of the stream.
    pub description: Option<String>,
    /// Genre of the stream.
    pub genre: Option<String>,
    /// Home page of the stream.
    pub url: Option<String>,
    /// Whether directories may list it; `None` leaves it to the source.
    pub public: Option<bool>,
    /// Whether it is left out of the status pages.
    pub hidden: bool,
    /// Content type told to listeners.
    pub content_type: Option<String>,
    /// Name a source signs in with; `None` means `source`.
    pub user: Option<String>,
    /// Password of this mount's source; `None` means the one of `[auth]`.
    pub password: Option<Secret>,
    /// Listeners of this mount; 0 for no limit.
    pub max_listeners: u32,
    /// Longest time of one listener; zero for no limit.
    pub max_listener_duration: Duration,
    /// How much a newcomer gets at once.
    pub burst: Burst,
    /// The most that a listener may ask for instead; not less than `burst`, where both are times or
    /// both are sizes.
    pub burst_max: Burst,
    /// What happens to a listener who is further behind than `lag_bytes`.
    pub lag: Lag,
    /// How long listeners are kept after the source is gone, waiting for its return.
    pub linger: Duration,
    /// Whether a new source with valid credentials replaces the one on air.
    pub takeover: bool,
    /// What happens to present listeners when the codec parameters change.
    pub on_change: OnChange,
    /// Whether a title from outside is put into a stream whose container carries its own.
    pub stream_titles: bool,
    /// A file that each newcomer hears first; relative to the folder of the configuration.
    pub intro: Option<PathBuf>,
    /// Where in the intro a newcomer starts.
    pub intro_position: IntroPosition,
    /// A file that listeners hear when the stream ends; relative as `intro` is.
    pub outro: Option<PathBuf>,
    /// Stream bytes between two ICY metadata blocks; 0 for no metadata.
    pub metadata_interval: u32,
    /// If not empty, only listeners from these networks are let in.
    pub allow: Vec<IpNet>,
    /// Listeners from these networks are refused, even if allowed above.
    pub deny: Vec<IpNet>,
    /// Headers added to each answer with this stream, in the order written.
    pub headers: Vec<(String, String)>,
    /// Origins whose pages may play the stream; `*` for all.
    pub cors_origins: Vec<String>,
}

/// What happens to a listener who is further behind than `lag_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// It is moved to the live edge, at a start point.
    Skip,
    /// It is dropped.
    Drop,
}

/// What happens to present listeners when a source comes, or comes back, with other codec
/// parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// They go on with the same answer, where the container allows it.
    Continue,
    /// They are let go, so that their players connect again.
    Reset,
}

/// Where in an intro a newcomer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntroPosition {
    /// At its start, each newcomer.
    Start,
    /// Where those who joined before are by now: the intro plays in a loop that all share.
    Shared,
}

impl MountSettings {
    /// Whether a listener at `address` is let in: a denied network always wins, and with allowed
    /// networks given all others are denied.
    pub fn admits(&self, address: IpAddr) -> bool {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

impl Default for MountSettings {
    fn default() -> Self {
        Self {
            name: None,
            description: None,
            genre: None,
            url: None,
            public: None,
            hidden: false,
            content_type: None,
            user: None,
            password: None,
            max_listeners: 0,
            max_listener_duration: Duration::ZERO,
            burst: Burst::Time(Duration::from_secs(5)),
            burst_max: Burst::Time(Duration::from_secs(30)),
            lag: Lag::Skip,
            linger: Duration::from_secs(10),
            takeover: false,
            on_change: OnChange::Continue,
            stream_titles: true,
            intro: None,
            intro_position: IntroPosition::Start,
            outro: None,
            metadata_interval: 16_000,
            allow: Vec::new(),
            deny: Vec::new(),
            headers: Vec::new(),
            cors_origins: vec!["*".to_owned()],
        }
    }
}

/// The settings of every mount, by exact path and by pattern.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mounts {
    exact: HashMap<String, Arc<MountSettings>>,
    /// Prefixes (patterns without their `*`), the longest first.
    prefixes: Vec<(String, Arc<MountSettings>)>,
    default: Arc<MountSettings>,
}

impl Mounts {
    /// Collects sections: a path that ends in `*` is a pattern for every path that begins so. Of
    /// two sections for one path the later counts; TOML allows no such pair.
    pub fn new(sections: impl IntoIterator<Item = (String, MountSettings)>) -> Self {
        let mut mounts = Self::default();
        for (path, settings) in sections {
            let settings = Arc::new(settings);
            match path.strip_suffix('*') {
                Some(prefix) => mounts.prefixes.push((prefix.to_owned(), settings)),
                None => drop(mounts.exact.insert(path, settings)),
            }
        }
        // Stable, after a reversal: of two equal patterns the later is found first.
        mounts.prefixes.reverse();
        mounts.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        mounts
    }

    /// The settings of the mount at `path` (decoded, beginning with `/`): its own section, else the
    /// longest pattern that fits, else the defaults. Sections do not inherit from one another, so
    /// that a mount's settings can be read in one place.
    pub fn settings(&self, path: &str) -> Arc<MountSettings> {
        let pattern = || self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        self.exact
            .get(path)
            .or_else(|| pattern().map(|(_, settings)| settings))
            .unwrap_or(&self.default)
            .clone()
    }

    /// The section written as `name`, a path or a pattern.
    pub(super) fn section(&self, name: &str) -> Option<&MountSettings> {
        let found = match name.strip_suffix('*') {
            Some(prefix) => self.prefixes.iter().find(|row| row.0 == prefix).map(|row| &row.1),
            None => self.exact.get(name),
        };
        found.map(Arc::as_ref)
    }

    /// Every section's settings, in no order.
    pub fn sections(&self) -> impl Iterator<Item = &MountSettings> {
        let patterns = self.prefixes.iter().map(|(_, settings)| settings);
        self.exact.values().chain(patterns).map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(paths: &[&str]) -> Mounts {
        Mounts::new(paths.iter().map(|path| {
            let settings =
                MountSettings { name: Some((*path).to_owned()), ..MountSettings::default() };
            ((*path).to_owned(), settings)
        }))
    }

    fn winner(mounts: &Mounts, path: &str) -> Option<String> {
        mounts.settings(path).name.clone()
    }

    #[test]
    fn without_sections_every_path_has_the_defaults() {
        assert_eq!(*Mounts::default().settings("/live"), MountSettings::default());
    }

    #[test]
    fn the_exact_path_wins_then_the_longest_pattern() {
        let mounts = mounts(&["/*", "/radio/*", "/radio/rock/*", "/radio/rock/live", "/r*"]);
        assert_eq!(winner(&mounts, "/radio/rock/live").as_deref(), Some("/radio/rock/live"));
        assert_eq!(winner(&mounts, "/radio/rock/b").as_deref(), Some("/radio/rock/*"));
        assert_eq!(winner(&mounts, "/radio/jazz").as_deref(), Some("/radio/*"));
        assert_eq!(winner(&mounts, "/radio").as_deref(), Some("/r*"));
        assert_eq!(winner(&mounts, "/live").as_deref(), Some("/*"));
    }

    #[test]
    fn a_path_no_pattern_fits_has_the_defaults() {
        let mounts = mounts(&["/radio/*", "/live"]);
        assert_eq!(winner(&mounts, "/live2"), None);
        assert_eq!(winner(&mounts, "/"), None);
        assert_eq!(winner(&mounts, ""), None);
    }

    #[test]
    fn a_section_does_not_inherit_from_a_pattern() {
        let plain = MountSettings { max_listeners: 5, ..MountSettings::default() };
        let mounts =
            Mounts::new([("/*".to_owned(), plain), ("/live".to_owned(), MountSettings::default())]);
        assert_eq!(mounts.settings("/live").max_listeners, 0);
        assert_eq!(mounts.settings("/other").max_listeners, 5);
    }

    #[test]
    fn settings_are_shared_not_copied() {
        let mounts = mounts(&["/live"]);
        assert!(Arc::ptr_eq(&mounts.settings("/live"), &mounts.settings("/live")));
    }
}
