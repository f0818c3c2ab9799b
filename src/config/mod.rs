//! FLOOR 1 · config: TOML as written to a checked model.
//!
//! The way of a setting: the text is parsed to a tree that remembers where each value stands
//! (`read`). A walk over the tree (`walk`) finds each key's row in one table (`keys`), which
//! says what rule the value must keep (`values`) and which field it fills. `env` lays the
//! environment over it, and `check` looks for settings that cannot stand together. Each stage
//! adds its faults to one list (`fault`, worded in `words`), so that one run shows all of them.
//!
//! This room opens no file and asks no environment: text and look-up come in as arguments, a
//! [`Config`] or the [`Faults`] go out. It runs before the cores exist, and later on the control
//! thread; no core ever parses.

mod attach;
mod check;
mod env;
mod fault;
mod first_run;
mod keys;
mod model;
mod mounts;
mod read;
mod secret;
mod values;
mod walk;
mod words;

pub use crate::base::Burst;
pub use attach::Attachment;
pub use env::{ADMIN_PASSWORD, HOSTNAME, LISTEN, LOG, SOURCE_PASSWORD};
pub use fault::{Fault, Faults, Found, Pair, Place, Rule, Wanted, Warning, Wrong};
pub use first_run::first_run;
pub use keys::Reload;
pub use model::{Auth, Config, Cores, Format, Level, Limits, Log, LogTarget, Server};
pub use mounts::{IntroPosition, Lag, MountSettings, Mounts, OnChange};
pub use secret::Secret;

/// What a sound configuration text yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The checked model.
    pub config: Config,
    /// What is allowed but probably not meant; to be logged at start.
    pub warnings: Vec<Warning>,
    /// Files that settings name, still to be read and judged.
    pub attachments: Vec<Attachment>,
}

/// Bytes of a configuration text. A thousand mounts with every key set need half of it; a log or an
/// image given by mistake stops here instead of filling the screen with faults.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Reads the configuration `text` of `file` (a name for messages only) and lays the environment
/// over it, which `env` looks up: `FLOE_LISTEN` (addresses separated by commas),
/// `FLOE_SOURCE_PASSWORD`, `FLOE_ADMIN_PASSWORD`, `FLOE_HOSTNAME` and `FLOE_LOG` (the log level)
/// win over the file. A variable that is set to nothing counts as not set, as container files write
/// it.
///
/// # Errors
/// Every fault of the text and the environment at once, in the order of their lines.
pub fn load(
    text: &str,
    file: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Faults> {
    if text.len() > FILE_BYTES_MAX {
        let wrong = Wrong::FileTooLarge { bytes: text.len(), max: FILE_BYTES_MAX };
        return Err(Faults::new(vec![read::Source::new(text, file).fault(
            0,
            String::new(),
            wrong,
        )]));
    }
    let source = read::Source::new(text, file);
    let (tree, syntax) = read::parse(&source);
    let mut config = Config::default();
    let tree = tree.get_ref();
    let mut faults = walk::sections(&source, tree, &mut config);
    read::forget_doubtful(&source, &syntax, &mut faults);
    let parsed = syntax.is_empty();
    faults.extend(syntax);
    faults.extend(env::overlay(env, &mut config));
    if parsed {
        faults.extend(check::pairs(&source, tree, &config, &faults));
    }
    if faults.is_empty() {
        let warnings = check::warnings(&config);
        let attachments = attach::attachments(&source, tree, &config);
        Ok(Loaded { config, warnings, attachments })
    } else {
        Err(Faults::new(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = include_str!("../../docs/floe.example.toml");

    fn faults_of(text: &str) -> Vec<String> {
        match load(text, "floe.toml", &|_| None) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    /// The example with every commented setting and section put in force. Settings are commented
    /// as `#key`, prose as `# prose`.
    fn example_in_force() -> String {
        let mut text = String::new();
        for line in EXAMPLE.lines() {
            let setting = line.strip_prefix('#').filter(|rest| {
                rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[')
            });
            text.push_str(setting.unwrap_or(line));
            text.push('\n');
        }
        text
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let loaded = load("", "floe.toml", &|_| None).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert_eq!(loaded.warnings, [Warning::NoSourcePassword, Warning::NoAdminPassword]);
    }

    #[test]
    fn the_example_as_it_stands_is_the_default() {
        let loaded = load(EXAMPLE, "floe.example.toml", &|_| None).unwrap();
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn the_example_in_force_differs_only_in_keys_without_default() {
        let config = load(&example_in_force(), "floe.example.toml", &|_| None).unwrap().config;
        let default = Config::default();
        assert_eq!(config.server, default.server);
        assert_eq!(config.limits, default.limits);
        assert_eq!(config.log, default.log);
        assert_eq!(config.auth.admin_user, default.auth.admin_user);
        let settings = (*config.mounts.settings("/any")).clone();
        let plain = MountSettings {
            name: None,
            description: None,
            genre: None,
            url: None,
            public: None,
            content_type: None,
            user: None,
            password: None,
            intro: None,
            outro: None,
            allow: Vec::new(),
            deny: Vec::new(),
            headers: Vec::new(),
            ..settings.clone()
        };
        assert_eq!(plain, MountSettings::default());
        assert_eq!(settings.user.as_deref(), Some("source"));
    }

    #[test]
    fn the_example_explains_every_key_and_no_other() {
        let mut documented = Vec::new();
        let mut section = String::new();
        let mut prose: Vec<&str> = Vec::new();
        for line in EXAMPLE.lines() {
            if let Some(name) = line.trim_start_matches('#').strip_prefix('[') {
                section = name.split(['.', ']']).next().unwrap().to_owned();
            } else if let Some((key, _)) = line
                .strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .and_then(|rest| rest.split_once(" = ").filter(|(key, _)| !key.contains(' ')))
            {
                documented.push((section.clone(), key.to_owned(), prose.join("\n")));
                prose.clear();
            } else if line.is_empty() {
                prose.clear();
            } else {
                prose.push(line);
            }
        }
        let mut known: Vec<_> = keys::every().collect();
        known.sort_unstable();
        let mut named: Vec<_> =
            documented.iter().map(|(section, key, _)| (section.as_str(), key.as_str())).collect();
        named.sort_unstable();
        assert_eq!(named, known.iter().map(|key| (key.0, key.1)).collect::<Vec<_>>());
        for (section, key, prose) in &documented {
            let reload = known.iter().find(|known| known.0 == section && known.1 == key).unwrap().2;
            let facts = format!("Reload: {}.", reload.label());
            assert!(prose.contains(&facts), "{section}.{key} lacks {facts:?}:\n{prose}");
            for word in ["Range: ", "Default: ", "because"] {
                assert!(prose.contains(word), "{section}.{key} lacks {word:?}:\n{prose}");
            }
        }
    }

    #[test]
    fn all_faults_of_a_file_come_at_once_in_order_of_lines() {
        let text = "[server]\nbeat_min = 20\npin = \"yes\"\n\n[limts]\n[limits]\nlistenrs = 5\n";
        assert_eq!(
            faults_of(text),
            [
                "floe.toml:2: server.beat_min: the bare number 20 has no unit; \
                 write \"20s\" or \"20ms\"",
                "floe.toml:3: server.pin: wants true or false, found text; write true",
                "floe.toml:5: limts: unknown section; did you mean \"limits\"?",
                "floe.toml:7: limits.listenrs: unknown key; did you mean \"listeners\"?",
            ]
        );
    }

    #[test]
    fn a_syntax_fault_has_line_and_column_and_hides_no_other_fault() {
        let text = "[server]\nhostname = \"localhost\npin = 1\n";
        assert_eq!(
            faults_of(text),
            [
                "floe.toml:2:22: not TOML: invalid basic string, expected `\"`; \
                 mend this line, settings are written as key = \"text\"",
                "floe.toml:3: server.pin: wants true or false, found a number; write true",
            ]
        );
    }

    #[test]
    fn a_broken_section_head_raises_no_faults_about_the_keys_below_it() {
        let faults = faults_of("[limits\nlisteners = 5\n[server]\npin = 1\n");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("floe.toml:1:8: not TOML"), "{faults:?}");
        assert!(faults[1].starts_with("floe.toml:4: server.pin"), "{faults:?}");
    }

    #[test]
    fn a_text_beyond_the_size_ceiling_is_one_fault() {
        let faults = faults_of(&"#".repeat(FILE_BYTES_MAX + 1));
        assert_eq!(
            faults,
            ["floe.toml:1: the text has 1048577 bytes, more than 1048576; \
              give the path of a configuration file"]
        );
    }

    #[test]
    fn the_example_cut_in_many_places_never_panics() {
        let text = example_in_force();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(7) {
            let _ = load(&text[..end], "floe.toml", &|_| None);
        }
    }

    #[test]
    fn a_small_file_cut_at_every_byte_is_read_or_refused_without_panic() {
        let text = "[server]\nlisten=[\"[::1]:80\"]\nbeat_min=\"5ms\"\n[auth]\nsource_password=\
                    \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng\"\n\
                    [mounts.\"/a*\"]\nburst=\"1KiB\"\nheaders={\"X-É\"=\"é\"}\n";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = load(&text[..end], "floe.toml", &|_| None);
        }
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC{0,200}", value in "\\PC{0,30}") {
            let _ = load(&text, "floe.toml", &|_| Some(value.clone()));
        }

        #[test]
        fn an_edited_example_never_panics(
            at in any::<prop::sample::Index>(),
            cut in 0usize..20,
            insert in "[\\[\\]\"'={}.,#a-z0-9$*/\n é\u{0}]{0,12}",
        ) {
            let mut characters: Vec<char> = example_in_force().chars().collect();
            let start = at.index(characters.len());
            let end = (start + cut).min(characters.len());
            characters.splice(start..end, insert.chars());
            let text: String = characters.into_iter().collect();
            if let Err(faults) = load(&text, "floe.toml", &|_| None) {
                prop_assert!(!faults.is_empty());
                prop_assert!(!faults.to_string().contains("correct horse"));
            }
        }

        #[test]
        fn any_value_at_any_key_never_panics(
            key in prop::sample::select(keys::every().collect::<Vec<_>>()),
            value in "(-?[0-9]{1,30}|[0-9]+\\.[0-9]+|true|1979-05-27|\"[^\"\\\\\\pC]{0,20}\"\
                      |\\[(\"[a-z0-9:./]{0,9}\",?){0,3}\\]|\\{ \"a b\" = \"c\" \\})",
        ) {
            let section = if key.0 == "mounts" { "mounts.\"/x\"" } else { key.0 };
            let text = format!("[{section}]\n{} = {value}\n", key.1);
            if let Err(faults) = load(&text, "floe.toml", &|_| None) {
                for fault in faults.iter() {
                    prop_assert!(fault.to_string().starts_with("floe.toml:"));
                }
            }
        }
    }
}
