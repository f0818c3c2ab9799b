//! Starting the server under test on a free port of 127.0.0.1, in a folder of its own, with a
//! configuration that holds what the scenario brings and passwords that nobody has used before.

use crate::guard::{self, Guarded};
use crate::scenario::{Kind, Place, Scenario, source_mounts};
use crate::target::Target;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A server under test, started or found.
#[derive(Debug)]
pub struct UnderTest {
    /// Where it listens.
    pub place: Place,
    /// What it is, for people.
    pub name: String,
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    guarded: Guarded,
    folder: PathBuf,
}

/// Which server to start, where a scenario leaves it open or `compare` decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which one.
    pub kind: Kind,
    /// Its binary; the usual one if missing.
    pub program: Option<PathBuf>,
}

impl UnderTest {
    /// The server of `scenario`, or `choice` in its place.
    ///
    /// # Errors
    /// If it cannot be reached or started; the end of its log says why.
    pub fn of(scenario: &Scenario, choice: Option<&Choice>) -> io::Result<Self> {
        let stated = scenario.server.as_ref().map(toml::Spanned::as_ref);
        if let Some(choice) = choice {
            let config = stated.and_then(|server| server.config.as_deref());
            return start(scenario, choice, config);
        }
        let Some(stated) = stated else {
            return Err(io::Error::other(
                "the scenario names no server: add [server] with kind = \"floe\"",
            ));
        };
        match (&stated.kind, &stated.target) {
            (Some(kind), _) => {
                let choice = Choice { kind: *kind, program: stated.program.clone() };
                start(scenario, &choice, stated.config.as_deref())
            }
            (None, Some(url)) => {
                let target = Target::parse(url).map_err(io::Error::other)?;
                let leave = stated.i_may_load_this_host.as_deref();
                let address = target.resolve(leave).map_err(io::Error::other)?;
                let password = stated.password.clone().unwrap_or_default();
                let place = Place { address, authority: target.authority(), password };
                Ok(Self { name: url.clone(), place, started: None })
            }
            (None, None) => Err(io::Error::other("[server] needs kind or target")),
        }
    }

    /// Its process id, if this process started it.
    pub fn pid(&self) -> Option<u32> {
        self.started.as_ref().map(|started| started.guarded.pid())
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        self.started.as_ref().map_or_else(String::new, |started| tail(&started.folder))
    }

    /// Whether it runs, as far as can be told.
    pub fn runs(&mut self) -> bool {
        self.started.as_mut().is_none_or(|started| started.guarded.runs().unwrap_or(false))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The guard, which is dropped behind this, removes the folder; it is gone already, and
        // left the folder for its log, only if the server ended by itself.
        if !self.guarded.runs().unwrap_or(false) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn start(scenario: &Scenario, choice: &Choice, config: Option<&str>) -> io::Result<UnderTest> {
    let program = match (&choice.program, choice.kind) {
        (Some(program), _) => program.clone(),
        (None, Kind::Floe) => floe_beside(&std::env::current_exe()?)?,
        (None, Kind::Icecast2) => "icecast2".into(),
    };
    let address = free_address()?;
    let folder = folder()?;
    let place = Place { address, authority: address.to_string(), password: secret()? };
    let arguments = match choice.kind {
        Kind::Floe => {
            let text = floe_config(&place, config.unwrap_or_default(), scenario)?;
            let path = write_secretly(&folder.join("floe.toml"), &text)?;
            vec!["serve".into(), "--config".into(), path]
        }
        Kind::Icecast2 => {
            let logs = folder.join("log");
            fs::create_dir(&logs)?;
            let owner = owner(&folder, &logs)?;
            let text = icecast_config(&place, scenario, &logs, owner, &secret()?);
            let path = write_secretly(&folder.join("icecast.xml"), &text)?;
            vec!["-c".into(), path]
        }
    };
    let program = fs::canonicalize(&program).unwrap_or(program);
    let name = match &choice.program {
        Some(path) => format!("{} ({})", choice.kind.name(), path.display()),
        None => choice.kind.name().to_owned(),
    };
    let guarded = Guarded::spawn(&folder, &program, &arguments).inspect_err(|_| {
        // Nothing was started that could still need it.
        let _ = fs::remove_dir_all(&folder);
    })?;
    let mut server = UnderTest { place, name, started: Some(Started { guarded, folder }) };
    await_port(&mut server)?;
    Ok(server)
}

/// The server's program in the folder of `own`. `cargo run -p floe-loadtest` in a fresh tree has
/// not built it: then the cargo that runs this program builds it, in the same profile.
fn floe_beside(own: &Path) -> io::Result<PathBuf> {
    let program = own.with_file_name("floe");
    if program.exists() {
        return Ok(program);
    }
    let cure = "cargo build --release --workspace makes it";
    let missing = || io::Error::other(format!("there is no {}: {cure}", program.display()));
    let cargo = std::env::var_os("CARGO").ok_or_else(missing)?;
    let is_release = own.parent().is_some_and(|folder| folder.ends_with("release"));
    let built = Command::new(cargo)
        .args(["build", "--locked", "--package", "floe", "--bin", "floe"])
        .args(is_release.then_some("--release"))
        .status()?;
    if built.success() && program.exists() { Ok(program) } else { Err(missing()) }
}

/// Waits until the server takes connections.
fn await_port(server: &mut UnderTest) -> io::Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    while TcpStream::connect_timeout(&server.place.address, LOOK_EVERY).is_err() {
        if !server.runs() || Instant::now() >= deadline {
            let tail = server.log_tail();
            return Err(io::Error::other(format!("{} did not start:\n{tail}", server.name)));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// A port that was free a moment ago. Nobody else binds it in that moment: the kernel hands out
/// such ports in random order.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// A new folder that only this user can look into.
fn folder() -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("floe-loadtest-{}", secret()?));
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

/// 128 random bits in hexadecimal digits.
fn secret() -> io::Result<String> {
    let mut bits = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bits)?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_secretly(path: &Path, text: &str) -> io::Result<OsString> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(path.as_os_str().to_owned())
}

/// Floe's configuration: that of the scenario, with place and passwords over it. Listeners leave at
/// once at the end, and there is room for every source, unless the scenario says otherwise.
fn floe_config(place: &Place, stated: &str, scenario: &Scenario) -> io::Result<String> {
    let mut root: toml::Table = toml::from_str(stated)
        .map_err(|error| io::Error::other(format!("[server] config: {error}")))?;
    let mut section = |name: &str, keys: Vec<(&str, toml::Value)>, wins: bool| {
        let section = root.entry(name).or_insert_with(|| toml::Table::new().into());
        let Some(section) = section.as_table_mut() else { return };
        for (key, value) in keys {
            if wins || !section.contains_key(key) {
                section.insert(key.into(), value);
            }
        }
    };
    let sources = i64::try_from(source_count(scenario).max(1_000)).unwrap_or(i64::MAX);
    let listen = vec![toml::Value::from(place.address.to_string())];
    section("server", vec![("listen", listen.into())], true);
    section("server", vec![("drain_grace", "0s".into())], false);
    section("limits", vec![("sources", sources.into())], false);
    section("auth", vec![("source_password", place.password.clone().into())], true);
    section("log", vec![("level", "warn".into())], false);
    toml::to_string(&root).map_err(io::Error::other)
}

/// Icecast's configuration: its defaults, with room for the scenario's clients and sources.
fn icecast_config(
    place: &Place,
    scenario: &Scenario,
    logs: &Path,
    owner: Option<&str>,
    admin_password: &str,
) -> String {
    let listeners: u64 = scenario.crowd.iter().map(|crowd| crowd.as_ref().listeners).sum();
    let sources = source_count(scenario);
    // Each source is a client too; some more look at the status page.
    let clients = listeners + sources + 100;
    let (ip, port) = (place.address.ip(), place.address.port());
    let (password, logs) = (&place.password, logs.display());
    let owner = owner.map_or_else(String::new, |user| {
        format!("<changeowner><user>{user}</user><group>nogroup</group></changeowner>")
    });
    format!(
        "<icecast>
  <limits>
    <clients>{clients}</clients><sources>{sources}</sources>
    <queue-size>524288</queue-size><client-timeout>30</client-timeout>
    <header-timeout>15</header-timeout><source-timeout>10</source-timeout>
    <burst-on-connect>1</burst-on-connect><burst-size>65535</burst-size>
  </limits>
  <authentication>
    <source-password>{password}</source-password><relay-password>{password}</relay-password>
    <admin-user>admin</admin-user><admin-password>{admin_password}</admin-password>
  </authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>{ip}</bind-address></listen-socket>
  <fileserve>1</fileserve>
  <paths>
    <basedir>/usr/share/icecast2</basedir><logdir>{logs}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging>
    <accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>2</loglevel>
  </logging>
  <security><chroot>0</chroot>{owner}</security>
</icecast>
"
    )
}

/// Icecast refuses to run as root, so it is told whom to become; its logs are then that user's.
fn owner(folder: &Path, logs: &Path) -> io::Result<Option<&'static str>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    std::os::unix::fs::chown(logs, Some(NOBODY), None)?;
    // Passing through is enough: the configuration itself is read as root.
    let through = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(folder, through)?;
    Ok(Some("nobody"))
}

fn source_count(scenario: &Scenario) -> u64 {
    let mounts = scenario.source.iter().map(|source| source_mounts(source.as_ref()).len());
    mounts.sum::<usize>() as u64
}

fn tail(folder: &Path) -> String {
    let mut all = fs::read_to_string(guard::log_path(folder)).unwrap_or_default();
    // Where Icecast says more than on its standard error.
    all += &fs::read_to_string(folder.join("log/error.log")).unwrap_or_default();
    let lines: Vec<_> = all.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// The user `nobody` of Debian and its kin.
const NOBODY: u32 = 65_534;
const LOG_LINES_SHOWN: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A server with many cores is up within a second, on a busy machine within a few.
const START_PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn place() -> Place {
        let address = SocketAddr::from(([127, 0, 0, 1], 8_123));
        Place { address, authority: address.to_string(), password: "drawn".into() }
    }

    fn scenario() -> Scenario {
        scenario::parse(
            "name = \"x\"\nduration = \"1s\"\n[[source]]\nmount = \"/a\"\ncount = 1200\n\
             [[crowd]]\nname = \"all\"\nlisteners = 8000\n",
        )
        .unwrap()
    }

    #[test]
    fn floes_configuration_keeps_the_scenarios_keys_and_its_own_place() {
        let stated = "[server]\nbeat_max = \"2s\"\nlisten = [\"0.0.0.0:1\"]\n\
                      [limits]\nsources = 7\n[mounts.\"/a\"]\nburst = \"1s\"\n";
        let text = floe_config(&place(), stated, &scenario()).unwrap();
        let made: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(made["server"]["beat_max"].as_str(), Some("2s"));
        assert_eq!(made["server"]["listen"][0].as_str(), Some("127.0.0.1:8123"));
        assert_eq!(made["limits"]["sources"].as_integer(), Some(7));
        assert_eq!(made["auth"]["source_password"].as_str(), Some("drawn"));
        assert_eq!(made["mounts"]["/a"]["burst"].as_str(), Some("1s"));
        let made = floe_config(&place(), "", &scenario()).unwrap();
        assert!(made.contains("sources = 1200"), "{made}");
        assert!(floe_config(&place(), "[server", &scenario()).is_err());
    }

    #[test]
    fn icecasts_configuration_has_room_for_everybody() {
        let text = icecast_config(&place(), &scenario(), Path::new("/l"), Some("nobody"), "adm");
        for part in [
            "<clients>9300</clients><sources>1200</sources>",
            "<port>8123</port><bind-address>127.0.0.1</bind-address>",
            "<source-password>drawn</source-password>",
            "<user>nobody</user>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn secrets_differ_and_are_long() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert!(one != other && one.len() == 32);
    }
}
