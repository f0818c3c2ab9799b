//! Icecast as the distribution ships it: its own configuration, folder, port and passwords. It is
//! killed and reaped when dropped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};

use tempfile::TempDir;

use crate::kit::clients::{Client, program};
use crate::kit::random::drawn;
use crate::wait;

/// The user `nobody` of Debian and its kin, whom Icecast becomes: it refuses to run as root.
const NOBODY: u32 = 65_534;

/// A running Icecast.
pub struct Icecast {
    // Dropped first: the program writes to the folder.
    _program: Client,
    _folder: TempDir,
    port: u16,
    /// What sources sign in with.
    pub source_password: String,
}

impl Icecast {
    /// Starts it and waits until it takes connections.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let logs = folder.path().join("log");
        fs::create_dir(&logs).expect("the folder is new");
        // Whoever may give files away is root.
        let is_root = chown(&logs, Some(NOBODY), None).is_ok();
        let through = fs::Permissions::from_mode(0o711);
        fs::set_permissions(folder.path(), through).expect("the folder is ours");
        // The kernel hands out free ports in random order, so nobody takes this one meanwhile.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let source_password = format!("source-{:016x}", drawn());
        let file = folder.path().join("icecast.xml");
        let text = configuration(port, &source_password, &logs.display().to_string(), is_root);
        fs::write(&file, text).expect("the folder is writable");
        let mut command = program("icecast2");
        command.arg("-c").arg(&file);
        let started = Client::spawn(command);
        let icecast = Self { _program: started, _folder: folder, port, source_password };
        wait::until_true("Icecast listens", || TcpStream::connect(icecast.address()).is_ok());
        icecast
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// Its defaults (`icecast.xml` of the package), with room for more clients and sources.
fn configuration(port: u16, password: &str, logs: &str, is_root: bool) -> String {
    let owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>";
    let owner = if is_root { owner } else { "" };
    format!(
        "<icecast>
  <limits>
    <clients>10000</clients><sources>100</sources>
    <queue-size>524288</queue-size><client-timeout>30</client-timeout>
    <header-timeout>15</header-timeout><source-timeout>10</source-timeout>
    <burst-on-connect>1</burst-on-connect><burst-size>65535</burst-size>
  </limits>
  <authentication>
    <source-password>{password}</source-password><relay-password>{password}</relay-password>
    <admin-user>admin</admin-user><admin-password>{password}</admin-password>
  </authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <http-headers><header name=\"Access-Control-Allow-Origin\" value=\"*\" /></http-headers>
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
