//! The environment over the file: the few settings that differ between two runs of one image. They
//! keep the same rules as in the file.

use super::fault::{Fault, Place, Wrong};
use super::keys;
use super::model::Config;
use super::read;
use super::secret::Secret;
use super::values;

/// Addresses to listen on, separated by commas: `server.listen`.
pub const LISTEN: &str = "FLOE_LISTEN";
/// `server.hostname`.
pub const HOSTNAME: &str = "FLOE_HOSTNAME";
/// `auth.source_password`.
pub const SOURCE_PASSWORD: &str = "FLOE_SOURCE_PASSWORD";
/// `auth.admin_password`.
pub const ADMIN_PASSWORD: &str = "FLOE_ADMIN_PASSWORD";
/// `log.level`.
pub const LOG: &str = "FLOE_LOG";

/// Lays each variable that is set and not empty over `config`; gives the faults of the others.
pub(super) fn overlay(env: &dyn Fn(&str) -> Option<String>, config: &mut Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (server, auth, log) = (&mut config.server, &mut config.auth, &mut config.log);
    let mut lay = |name: &str, set: &mut dyn FnMut(&str) -> Result<(), Vec<Wrong>>| {
        let Some(text) = env(name).filter(|text| !text.is_empty()) else { return };
        for wrong in set(&text).err().into_iter().flatten() {
            faults.push(Fault { place: Place::Environment, key: name.to_owned(), wrong });
        }
    };
    lay(LISTEN, &mut |text| {
        server.listen = addresses(text)?;
        Ok(())
    });
    lay(HOSTNAME, &mut |text| {
        let wrong = |rule| vec![Wrong::Text { found: text.to_owned(), rule }];
        server.hostname = values::hostname(text).map_err(wrong)?;
        Ok(())
    });
    lay(SOURCE_PASSWORD, &mut |text| {
        auth.source_password = Some(secret(text)?);
        Ok(())
    });
    lay(ADMIN_PASSWORD, &mut |text| {
        auth.admin_password = Some(secret(text)?);
        Ok(())
    });
    lay(LOG, &mut |text| {
        log.level =
            read::choice(text, keys::LEVEL_NAMES, keys::LEVELS).map_err(|wrong| vec![wrong])?;
        Ok(())
    });
    faults
}

fn secret(text: &str) -> Result<Secret, Vec<Wrong>> {
    Secret::parse(text).map_err(|rule| vec![Wrong::Password(rule)])
}

fn addresses(text: &str) -> Result<Vec<std::net::SocketAddr>, Vec<Wrong>> {
    let (mut addresses, mut wrong) = (Vec::new(), Vec::new());
    for entry in text.split(',').map(str::trim) {
        match values::address(entry) {
            Ok(address) if addresses.contains(&address) => {
                wrong.push(Wrong::Twice(entry.to_owned()));
            }
            Ok(address) => addresses.push(address),
            Err(rule) => wrong.push(Wrong::Text { found: entry.to_owned(), rule }),
        }
    }
    if addresses.len() > keys::LISTEN_MAX {
        wrong.push(Wrong::Count { found: addresses.len(), min: 1, max: keys::LISTEN_MAX });
    }
    if wrong.is_empty() { Ok(addresses) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Loaded, load};
    use super::*;

    const FILE: &str = "[server]\nlisten = [\"127.0.0.1:1\"]\nhostname = \"file\"\n\
                        [auth]\nsource_password = \"from the file\"\n[log]\nlevel = \"warn\"\n";

    fn with(pairs: &[(&str, &str)]) -> Result<Loaded, String> {
        let env = |name: &str| {
            let pair = pairs.iter().find(|(known, _)| *known == name)?;
            Some(pair.1.to_owned())
        };
        load(FILE, "f", &env).map_err(|faults| faults.to_string())
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = with(&[
            (LISTEN, "127.0.0.1:2, [::1]:2"),
            (HOSTNAME, "env"),
            (SOURCE_PASSWORD, "from the environment"),
            (ADMIN_PASSWORD, "of the admin"),
            (LOG, "debug"),
        ])
        .unwrap()
        .config;
        assert_eq!(config.server.listen.len(), 2);
        assert_eq!(config.server.hostname, "env");
        assert_eq!(
            config.auth.source_password,
            Some(Secret::Plain("from the environment".to_owned()))
        );
        assert_eq!(config.auth.admin_password, Some(Secret::Plain("of the admin".to_owned())));
        assert_eq!(config.log.level, Level::Debug);
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let empty = with(&[(LISTEN, ""), (HOSTNAME, ""), (SOURCE_PASSWORD, ""), (LOG, "")]);
        assert_eq!(empty, with(&[]));
        assert_eq!(empty.unwrap().config.server.hostname, "file");
    }

    #[test]
    fn every_faulty_variable_is_named_and_no_password_is_shown() {
        assert_eq!(
            with(&[
                (LISTEN, "127.0.0.1:2,here,127.0.0.1:2"),
                (HOSTNAME, "a b"),
                (ADMIN_PASSWORD, "hackme"),
                (LOG, "loud"),
            ]),
            Err("environment: FLOE_LISTEN: \"here\" is not an address with a port; \
                 write it as in \"0.0.0.0:8000\" or \"[::]:8000\"\n\
                 environment: FLOE_LISTEN: \"127.0.0.1:2\" stands here twice; remove one\n\
                 environment: FLOE_HOSTNAME: \"a b\" is not a host name; \
                 use letters, digits, dots and hyphens, as in \"radio.example\"\n\
                 environment: FLOE_ADMIN_PASSWORD: the password is one that every scanner tries \
                 first; choose another, as from openssl rand -hex 16\n\
                 environment: FLOE_LOG: \"loud\" is not a choice; \
                 write \"error\", \"warn\", \"info\", \"debug\" or \"trace\""
                .to_owned())
        );
    }

    #[test]
    fn more_addresses_than_sockets_are_refused() {
        let many: Vec<_> = (1..=65).map(|port| format!("127.0.0.1:{port}")).collect();
        assert_eq!(
            with(&[(LISTEN, &many.join(","))]),
            Err("environment: FLOE_LISTEN: has 65 entries; give 1 to 64".to_owned())
        );
    }
}
