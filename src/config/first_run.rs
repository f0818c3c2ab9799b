//! The configuration file a first start writes: small enough to read at a glance, with passwords
//! nobody else has, and a demo to hear.

/// The text of a new `floe.toml`. The passwords are to be freshly drawn; any text is escaped, but
/// one that breaks the rules of `[auth]` makes a file that [`super::load`] refuses.
pub fn first_run(source_password: &str, admin_password: &str) -> String {
    let source_password = toml::Value::from(source_password);
    let admin_password = toml::Value::from(admin_password);
    format!(
        r#"# Settings of this Floe server, written by its first start. Change them as you like; the
# server never writes this file again. To look for faults after a change: floe check
#
# What is not set here has its default. docs/floe.example.toml has every setting with its unit,
# range, default and reason.

[server]
# A built-in source plays on /demo until you set this to false.
demo = true
# The name under which listeners reach this server.
#hostname = "radio.example"
# Where to listen.
#listen = ["0.0.0.0:8000", "[::]:8000"]

[auth]
# What encoders sign in with, under the name "source".
source_password = {source_password}
# What you sign in with, under the name "admin". To keep only a hash of it here, put the line that
# floe hash-password prints in its place.
admin_password = {admin_password}

# Settings of one mount, or of all whose path begins so.
#[mounts."/radio/*"]
#max_listeners = 1000
#burst = "5s"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Secret, load};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_file_loads_without_warning_and_differs_only_where_it_says() {
        let text = first_run("drawn for sources", "drawn for the admin");
        let loaded = load(&text, "floe.toml", &|_| None).unwrap();
        assert_eq!(loaded.warnings, []);
        let mut expected = Config::default();
        expected.server.demo = true;
        expected.auth.source_password = Some(Secret::Plain("drawn for sources".to_owned()));
        expected.auth.admin_password = Some(Secret::Plain("drawn for the admin".to_owned()));
        assert_eq!(loaded.config, expected);
    }

    #[test]
    fn its_commented_settings_are_sound() {
        let text = first_run("drawn for sources", "drawn for the admin");
        let in_force: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = load(&in_force, "floe.toml", &|_| None).unwrap().config;
        assert_eq!(config.mounts.settings("/radio/one").max_listeners, 1000);
    }

    proptest! {
        #[test]
        fn any_password_is_escaped(source in "\\PC{9,30}", admin in "[\"'\\\\#=\\[\\]]{9,20}") {
            let loaded = load(&first_run(&source, &admin), "floe.toml", &|_| None).unwrap();
            prop_assert_eq!(loaded.config.auth.source_password, Some(Secret::Plain(source)));
            prop_assert_eq!(loaded.config.auth.admin_password, Some(Secret::Plain(admin)));
        }
    }
}
