//! Who may do what: every password check of the server, plain and hashed, behind one back-off.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::base::limits::{HASHING_THREADS_MAX, PASSWORD_REMEMBERED};
use crate::base::{CloseReason, Moment};
use crate::config::{Config, Secret};
use crate::domain::access::{Attempt, Backoff};
use crate::domain::bus::{Realm, Verify};
use crate::rt::clock::Clock;

use super::secret;

/// The user name of relays, as Icecast's default has it.
const RELAY_USER: &str = "relay";

/// Who a set of credentials claims to be, and the secret that proves it.
struct Claimant<'a> {
    user: &'a str,
    secret: &'a Secret,
}

/// Checks passwords.
pub(super) struct Gate {
    config: Arc<Config>,
    clock: Clock,
    backoff: RefCell<Backoff>,
    hashing: Semaphore,
    /// Fingerprints, by a keyed hash with a random key, of passwords that matched, and until when.
    remembered: RefCell<HashMap<u64, Moment>>,
    fingerprints: RandomState,
}

impl Gate {
    pub(super) fn new(config: Arc<Config>, clock: Clock) -> Self {
        Self {
            config,
            clock,
            backoff: RefCell::default(),
            hashing: Semaphore::new(HASHING_THREADS_MAX),
            remembered: RefCell::default(),
            fingerprints: RandomState::new(),
        }
    }

    /// Whether the credentials are right for what is asked.
    pub(super) async fn check(&self, verify: Verify) -> Result<(), CloseReason> {
        let attempt = self.backoff.borrow_mut().attempt(verify.address, self.clock.now());
        match attempt {
            Attempt::TooMany(_) => {
                report(&verify, "too many attempts");
                return Err(CloseReason::TooManyAttempts);
            }
            Attempt::CheckAt(at) => {
                tokio::time::sleep(at.since(self.clock.now())).await;
            }
        }
        if self.is_right(&verify).await {
            self.backoff.borrow_mut().right(verify.address);
            return Ok(());
        }
        self.backoff.borrow_mut().wrong(verify.address, self.clock.now());
        report(&verify, "wrong password");
        Err(CloseReason::Unauthorized)
    }

    async fn is_right(&self, verify: &Verify) -> bool {
        let mut right = false;
        let auth = &self.config.auth;
        let settings = match &verify.realm {
            Realm::Source(mount) => Some(self.config.mounts.settings(mount)),
            Realm::Relay | Realm::Admin => None,
        };
        let relay = auth
            .relay_password
            .as_ref()
            .filter(|_| verify.realm == Realm::Relay)
            .map(|secret| Claimant { user: RELAY_USER, secret });
        let admin =
            auth.admin_password.as_ref().map(|secret| Claimant { user: &auth.admin_user, secret });
        let source = settings.as_deref().and_then(|settings| {
            let secret = settings.password.as_ref().or(auth.source_password.as_ref())?;
            Some(Claimant { user: settings.user.as_deref().unwrap_or("source"), secret })
        });
        // Every claimant is checked, whichever fits, so that time does not tell which user exists.
        for claimant in [admin, source, relay].into_iter().flatten() {
            let user = secret::equal(&verify.user, claimant.user);
            let password = match claimant.secret {
                Secret::Plain(plain) => secret::equal(&verify.password, plain),
                Secret::Argon2(phc) if user => self.matches_hash(&verify.password, phc).await,
                // A wrong name costs an attacker the same back-off; hashing for it would let anyone
                // keep two CPUs busy.
                Secret::Argon2(_) => false,
            };
            right |= user & password;
        }
        right
    }

    async fn matches_hash(&self, password: &str, phc: &str) -> bool {
        let fingerprint = self.fingerprints.hash_one((password, phc));
        if self.remembers(fingerprint) {
            return true;
        }
        let Ok(_permit) = self.hashing.acquire().await else { return false };
        // Encoders that come back together hash their common password once, not each.
        if self.remembers(fingerprint) {
            return true;
        }
        let (password, phc) = (password.to_owned(), phc.to_owned());
        let hashed = tokio::task::spawn_blocking(move || secret::matches_hash(&password, &phc));
        let matches = hashed.await.unwrap_or(false);
        if matches {
            let now = self.clock.now();
            let mut remembered = self.remembered.borrow_mut();
            remembered.retain(|_, &mut until| until > now);
            remembered.insert(fingerprint, now + PASSWORD_REMEMBERED);
        }
        matches
    }

    /// Whether a password with this fingerprint matched not long ago.
    fn remembers(&self, fingerprint: u64) -> bool {
        let now = self.clock.now();
        self.remembered.borrow().get(&fingerprint).is_some_and(|&until| until > now)
    }
}

/// The line that `docs/fail2ban/floe.conf` matches. Its form is part of the interface: what a
/// client sent comes last and is escaped, so that nobody can write another's address into it.
fn report(verify: &Verify, what: &str) {
    let (realm, mount) = match &verify.realm {
        Realm::Source(mount) => ("source", mount.as_str()),
        Realm::Relay => ("relay", "-"),
        Realm::Admin => ("admin", "-"),
    };
    tracing::warn!(
        target: "floe::auth",
        "authentication failure from {}: {what}, realm={realm} mount={mount:?} user={:?}",
        verify.address,
        verify.user,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, CoreIndex};

    fn gate(toml: &str) -> Gate {
        let loaded = crate::config::load(toml, "floe.toml", &|_| None).expect("valid");
        Gate::new(Arc::new(loaded.config), Clock::start())
    }

    fn check(gate: &Gate, realm: Realm, user: &str, password: &str) -> Result<(), CloseReason> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without I/O");
        runtime.block_on(gate.check(Verify {
            asker: ConnId { core: CoreIndex(0), serial: 0 },
            address: "192.0.2.1".parse().expect("a literal"),
            realm,
            user: user.to_owned(),
            password: password.to_owned(),
        }))
    }

    fn live() -> Realm {
        Realm::Source("/live".to_owned())
    }

    const CONFIG: &str = "[auth]\nsource_password = 'for sources'\nadmin_password = 'for admins'\n\
                          relay_password = 'for relays'\n\
                          [mounts.'/own']\nuser = 'dj'\npassword = 'of the dj'\n";

    #[test]
    fn each_role_gets_in_with_its_own_password_only() {
        let gate = gate(CONFIG);
        assert_eq!(check(&gate, live(), "source", "for sources"), Ok(()));
        assert_eq!(check(&gate, live(), "admin", "for admins"), Ok(()));
        assert_eq!(check(&gate, Realm::Admin, "admin", "for admins"), Ok(()));
        let wrong = Err(CloseReason::Unauthorized);
        assert_eq!(check(&gate, Realm::Admin, "source", "for sources"), wrong);
        assert_eq!(check(&gate, live(), "source", "for admins"), wrong);
        assert_eq!(check(&gate, live(), "source", ""), wrong);
        assert_eq!(check(&gate, Realm::Relay, "relay", "for relays"), Ok(()));
        assert_eq!(check(&gate, Realm::Admin, "relay", "for relays"), wrong);
        assert_eq!(check(&gate, live(), "relay", "for relays"), wrong);
    }

    #[test]
    fn a_mount_with_its_own_password_does_not_take_the_common_one() {
        let gate = gate(CONFIG);
        let own = || Realm::Source("/own".to_owned());
        assert_eq!(check(&gate, own(), "dj", "of the dj"), Ok(()));
        assert_eq!(check(&gate, own(), "source", "for sources"), Err(CloseReason::Unauthorized));
    }

    #[test]
    fn without_a_password_in_the_configuration_nobody_gets_in() {
        let gate = gate("");
        for password in ["", "hackme"] {
            let answer = check(&gate, live(), "source", password);
            assert_eq!(answer, Err(CloseReason::Unauthorized));
        }
    }

    #[test]
    fn hashed_passwords_work_and_are_remembered() {
        let phc = secret::hash("for sources").expect("argon2 with defaults");
        let gate = gate(&format!("[auth]\nsource_password = '{phc}'\n"));
        assert_eq!(check(&gate, live(), "source", "for sources"), Ok(()));
        assert_eq!(gate.remembered.borrow().len(), 1);
        assert_eq!(check(&gate, live(), "source", "for sources"), Ok(()));
        let wrong = check(&gate, live(), "source", "for saucers");
        assert_eq!(wrong, Err(CloseReason::Unauthorized));
        assert_eq!(gate.remembered.borrow().len(), 1);
    }
}
