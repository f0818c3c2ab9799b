//! Settings that are sound alone and cannot stand together, and those that can but are probably not
//! meant. Each key has passed its own rule before.

use super::fault::{Fault, Pair, Warning, Wrong};
use super::model::{Auth, Config};
use super::mounts::MountSettings;
use super::read::Source;
use super::secret::Secret;
use super::values::{duration_text, size_text};
use super::walk::mount_key;
use crate::base::Burst;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A pair that cannot stand together.
struct Impossible {
    /// Its keys in one section; the first that is written is the one to name.
    keys: &'static [&'static str],
    /// The path of its key in another section, if there is one.
    elsewhere: Option<&'static str>,
    pair: Pair,
}

/// Every impossible pair. A pair of which one key already has a fault is not judged: the model
/// holds the default in its place.
pub(super) fn pairs(
    source: &Source<'_>,
    tree: &DeTable<'_>,
    config: &Config,
    known: &[Fault],
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut judge = |section: &str, place: &DeTable<'_>, impossible: Vec<Impossible>| {
        for Impossible { keys, elsewhere, pair } in impossible {
            let paths: Vec<_> = keys.iter().map(|key| format!("{section}.{key}")).collect();
            let is_of_pair = |key: &String| paths.contains(key) || elsewhere == Some(key.as_str());
            if known.iter().any(|fault| is_of_pair(&fault.key)) {
                continue;
            }
            let mut written = keys
                .iter()
                .zip(paths)
                .filter_map(|(key, path)| place.get(*key).map(|node| (path, node.span().start)));
            if let Some((path, offset)) = written.next() {
                faults.push(source.fault(offset, path, Wrong::Pair(pair)));
            }
        }
    };
    if let Some(place) = table(tree, "server") {
        judge("server", place, server_pairs(config));
    }
    if let Some(place) = table(tree, "limits") {
        judge("limits", place, limits_pairs(config));
    }
    for (name, node) in table(tree, "mounts").into_iter().flatten() {
        let DeValue::Table(place) = node.get_ref() else { continue };
        let Some(settings) = config.mounts.section(name.get_ref()) else { continue };
        judge(&mount_key(name.get_ref()), place, mount_pairs(settings, config));
    }
    faults
}

/// The table called `name`, if it is there and is one.
pub(super) fn table<'t>(tree: &'t DeTable<'_>, name: &str) -> Option<&'t DeTable<'t>> {
    match tree.get(name).map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => Some(table),
        _ => None,
    }
}

/// The impossible pairs of `[server]`.
fn server_pairs(config: &Config) -> Vec<Impossible> {
    let (min, max) = (config.server.beat_min, config.server.beat_max);
    if min <= max {
        return Vec::new();
    }
    let pair = Pair::BeatsCrossed { min: duration_text(min), max: duration_text(max) };
    vec![Impossible { keys: &["beat_min", "beat_max"], elsewhere: None, pair }]
}

/// The impossible pairs of `[limits]`.
fn limits_pairs(config: &Config) -> Vec<Impossible> {
    let keys = &["listeners_per_address", "listeners"];
    let pair = beyond_listeners(config.limits.listeners_per_address, config);
    pair.map(|pair| Impossible { keys, elsewhere: None, pair }).into_iter().collect()
}

/// The impossible pairs of one mount.
fn mount_pairs(mount: &MountSettings, config: &Config) -> Vec<Impossible> {
    let mut pairs = Vec::new();
    let bursts: [(&'static [&'static str], Burst); 2] =
        [(&["burst"], mount.burst), (&["burst_max"], mount.burst_max)];
    for (keys, burst) in bursts {
        if burst.exceeds(Burst::Bytes(config.limits.lag_bytes)) {
            let (burst, lag) = (burst_text(burst), size_text(config.limits.lag_bytes));
            let pair = Pair::BurstBeyondLag { burst, lag };
            pairs.push(Impossible { keys, elsewhere: Some("limits.lag_bytes"), pair });
        }
    }
    if mount.burst.exceeds(mount.burst_max) {
        let (burst, max) = (burst_text(mount.burst), burst_text(mount.burst_max));
        let pair = Pair::BurstBeyondMax { burst, max };
        pairs.push(Impossible { keys: &["burst_max", "burst"], elsewhere: None, pair });
    }
    if let Some(pair) = beyond_listeners(mount.max_listeners, config) {
        let elsewhere = Some("limits.listeners");
        pairs.push(Impossible { keys: &["max_listeners"], elsewhere, pair });
    }
    for net in mount.deny.iter().filter(|net| mount.allow.contains(net)) {
        let pair = Pair::AllowedAndDenied(net.to_string());
        pairs.push(Impossible { keys: &["deny", "allow"], elsewhere: None, pair });
    }
    if mount.hidden && mount.public == Some(true) {
        let pair = Pair::HiddenAndPublic;
        pairs.push(Impossible { keys: &["public", "hidden"], elsewhere: None, pair });
    }
    pairs
}

/// A burst as it is written in the file.
fn burst_text(burst: Burst) -> String {
    match burst {
        Burst::Time(span) => duration_text(span),
        Burst::Bytes(bytes) => size_text(bytes),
    }
}

/// The fault of a ceiling that the one of the whole server makes unreachable.
fn beyond_listeners(found: u32, config: &Config) -> Option<Pair> {
    let listeners = config.limits.listeners;
    (listeners != 0 && found > listeners).then_some(Pair::BeyondListeners { found, listeners })
}

/// What is allowed but probably not meant. A missing relay password is none: relaying from this
/// server is an extra that few switch on.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let Auth { source_password, admin_password, relay_password, .. } = &config.auth;
    let mut warnings = Vec::new();
    if source_password.is_none() && config.mounts.sections().all(|mount| mount.password.is_none()) {
        warnings.push(Warning::NoSourcePassword);
    }
    if admin_password.is_none() {
        warnings.push(Warning::NoAdminPassword);
    }
    if source_password.is_some() && source_password == admin_password {
        warnings.push(Warning::SharedPassword);
    }
    for (key, password) in [
        ("source_password", source_password),
        ("relay_password", relay_password),
        ("admin_password", admin_password),
    ] {
        if let Some(Secret::Plain(text)) = password
            && text.chars().count() < PASSWORD_CHARS_MIN
        {
            warnings.push(Warning::ShortPassword { key });
        }
    }
    warnings
}

/// NIST SP 800-63B section 5.1.1.1 asks for eight; fewer fall to a scanner within hours.
const PASSWORD_CHARS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    fn faults_of(text: &str) -> String {
        load(text, "f", &|_| None).map_or_else(|faults| faults.to_string(), |_| String::new())
    }

    fn warnings_of(auth: &str) -> Vec<Warning> {
        load(&format!("[auth]\n{auth}"), "f", &|_| None).unwrap().warnings
    }

    #[test]
    fn beats_may_be_equal_but_not_crossed() {
        assert_eq!(faults_of("[server]\nbeat_min = \"1s\"\nbeat_max = \"1s\""), "");
        let words = "lower beat_min or raise beat_max";
        assert_eq!(
            faults_of("[server]\nbeat_max = \"30ms\"\nbeat_min = \"50ms\""),
            format!("f:3: server.beat_min: beat_min 50ms is above beat_max 30ms; {words}")
        );
        assert_eq!(
            faults_of("[server]\nbeat_max = \"10ms\""),
            format!("f:2: server.beat_max: beat_min 20ms is above beat_max 10ms; {words}")
        );
    }

    #[test]
    fn a_burst_in_bytes_fits_the_lag() {
        assert_eq!(faults_of("[mounts.\"/a\"]\nburst = \"512KiB\""), "");
        assert_eq!(
            faults_of("[mounts.\"/a\"]\nburst = \"1MiB\""),
            "f:2: mounts.\"/a\".burst: 1MiB is more than limits.lag_bytes 512KiB, so a newcomer \
             would lag at once; lower the burst or raise lag_bytes"
        );
        assert_eq!(
            faults_of("[limits]\nlag_bytes = \"1MiB\"\n[mounts.\"/*\"]\nburst = \"1MiB\""),
            ""
        );
    }

    #[test]
    fn a_newcomer_cannot_get_more_than_may_be_asked_for() {
        let words = "lower burst or raise burst_max";
        assert_eq!(
            faults_of("[mounts.\"/a\"]\nburst = \"1m\""),
            format!("f:2: mounts.\"/a\".burst: burst 1m is above burst_max 30s; {words}")
        );
        assert_eq!(
            faults_of("[mounts.\"/a\"]\nburst = \"2KiB\"\nburst_max = \"1KiB\""),
            format!("f:3: mounts.\"/a\".burst_max: burst 2KiB is above burst_max 1KiB; {words}")
        );
        assert_eq!(faults_of("[mounts.\"/a\"]\nburst = \"5s\"\nburst_max = \"5s\""), "");
        assert_eq!(faults_of("[mounts.\"/a\"]\nburst_max = \"1KiB\""), "");
        assert_eq!(
            faults_of("[mounts.\"/a\"]\nburst_max = \"1MiB\"").split(';').next(),
            Some(
                "f:2: mounts.\"/a\".burst_max: 1MiB is more than limits.lag_bytes 512KiB, so a \
                 newcomer would lag at once"
            )
        );
    }

    #[test]
    fn ceilings_above_that_of_the_server_are_refused() {
        let words = "is more than limits.listeners 10 and would never be reached; \
                     lower it or raise listeners";
        assert_eq!(
            faults_of("[limits]\nlisteners = 10\nlisteners_per_address = 11"),
            format!("f:3: limits.listeners_per_address: 11 {words}")
        );
        assert_eq!(
            faults_of("[limits]\nlisteners = 10\n[mounts.\"/a\"]\nmax_listeners = 12"),
            format!("f:4: mounts.\"/a\".max_listeners: 12 {words}")
        );
        assert_eq!(faults_of("[limits]\nlisteners = 0\nlisteners_per_address = 300000"), "");
        assert_eq!(faults_of("[limits]\nlisteners = 10\nlisteners_per_address = 10"), "");
    }

    #[test]
    fn a_net_cannot_be_allowed_and_denied_nor_a_mount_hidden_and_public() {
        assert_eq!(
            faults_of(
                "[mounts.\"/a*\"]\nallow = [\"10.0.0.0/8\"]\n\
                 deny = [\"10.9.9.9/8\", \"10.1.0.0/16\"]\nhidden = true\npublic = true"
            ),
            "f:3: mounts.\"/a*\".deny: 10.0.0.0/8 is in allow and in deny; \
             remove it from one of them\n\
             f:5: mounts.\"/a*\".public: a hidden mount cannot be listed in directories; \
             remove hidden = true or public = true"
        );
    }

    #[test]
    fn a_key_with_a_fault_of_its_own_is_not_judged_again() {
        assert_eq!(
            faults_of("[server]\nbeat_min = \"1s\"\nbeat_max = \"20s\""),
            "f:3: server.beat_max: 20s is out of range; choose from 5ms to 10s"
        );
        assert_eq!(
            faults_of("[server]\nbeat_min = \"50ms\"\nbeat_max = \"1ms\"").lines().count(),
            1
        );
        assert_eq!(
            faults_of("[limits]\nlag_bytes = \"2TB\"\n[mounts.\"/a\"]\nburst = \"1MiB\"")
                .lines()
                .count(),
            1
        );
    }

    #[test]
    fn a_role_without_password_is_warned_of_once_nobody_can_take_it() {
        let both = [Warning::NoSourcePassword, Warning::NoAdminPassword];
        assert_eq!(warnings_of(""), both);
        assert_eq!(
            warnings_of("[mounts.\"/a\"]\npassword = \"of this mount\""),
            [Warning::NoAdminPassword]
        );
    }

    #[test]
    fn short_and_shared_passwords_are_warned_of() {
        let shared = "source_password = \"abc\"\nadmin_password = \"abc\"";
        assert_eq!(
            warnings_of(shared),
            [
                Warning::SharedPassword,
                Warning::ShortPassword { key: "source_password" },
                Warning::ShortPassword { key: "admin_password" },
            ]
        );
        let sound = "source_password = \"long enough\"\nadmin_password = \"longer still\"";
        assert_eq!(warnings_of(sound), []);
        assert_eq!(
            Warning::ShortPassword { key: "relay_password" }.to_string(),
            "auth.relay_password has fewer than 8 characters and is soon guessed; \
             choose a longer one"
        );
    }
}
