//! The server under test: the real binary in a folder of its own, with a configuration and
//! passwords of its own, on a port the kernel chose. It is killed and reaped when the test ends,
//! and its log is printed if the test failed.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::random::drawn;
use crate::wait;

/// The binary under test.
pub const FLOE: &str = env!("CARGO_BIN_EXE_floe");

/// What a server is started with.
pub struct Setup {
    cores: &'static [usize],
    server: String,
    limits: String,
    log: String,
    mounts: String,
    files: Vec<(&'static str, Vec<u8>)>,
    open_files: Option<u32>,
    variables: Vec<(&'static str, String)>,
    passed: Option<TcpListener>,
}

impl Setup {
    /// Two listener cores, one on each of the first two CPUs.
    pub fn new() -> Self {
        Self {
            cores: &[0, 1],
            server: String::new(),
            limits: String::new(),
            log: String::new(),
            mounts: String::new(),
            files: Vec::new(),
            open_files: None,
            variables: Vec::new(),
            passed: None,
        }
    }

    /// Listener cores, each by the index of the CPU it runs on.
    pub fn cores(mut self, cores: &'static [usize]) -> Self {
        self.cores = cores;
        self
    }

    /// A line of `[server]`.
    pub fn server(mut self, line: &str) -> Self {
        add(&mut self.server, line);
        self
    }

    /// A line of `[limits]`.
    pub fn limits(mut self, line: &str) -> Self {
        add(&mut self.limits, line);
        self
    }

    /// A line of `[log]`.
    pub fn log(mut self, line: &str) -> Self {
        add(&mut self.log, line);
        self
    }

    /// A mount and its lines.
    pub fn mount(mut self, path: &str, lines: &str) -> Self {
        add(&mut self.mounts, &format!("[mounts.\"{path}\"]\n{lines}"));
        self
    }

    /// A file beside the configuration.
    pub fn file(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.files.push((name, bytes));
        self
    }

    /// The limit of open files, soft and hard.
    pub fn open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// A variable of the environment.
    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A bound socket, passed as a service manager does; the server is configured to its address.
    pub fn passed(mut self, socket: &TcpListener) -> Self {
        self.passed = Some(socket.try_clone().expect("a descriptor is free"));
        self
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Server {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let source_password = format!("source-{:016x}", drawn());
        let admin_password = format!("admin-{:016x}", drawn());
        let Self { server, limits, log, mounts, .. } = &self;
        let cores = cpus(self.cores);
        let listen = match &self.passed {
            None => SocketAddr::from(([127, 0, 0, 1], 0)),
            Some(socket) => socket.local_addr().expect("it is bound"),
        };
        let config = format!(
            "[server]\nlisten = [\"{listen}\"]\npin = false\ncores = {cores:?}\n{server}\
             [limits]\n{limits}[log]\n{log}[auth]\nsource_password = \"{source_password}\"\n\
             admin_password = \"{admin_password}\"\n{mounts}"
        );
        std::fs::write(folder.path().join("floe.toml"), config).expect("the folder is writable");
        for (name, bytes) in &self.files {
            std::fs::write(folder.path().join(name), bytes).expect("the folder is writable");
        }
        let mut script = String::new();
        if let Some(limit) = self.open_files {
            script.push_str(&format!("ulimit -n {limit} && "));
        }
        if self.passed.is_some() {
            script.push_str(PASS_STDIN);
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{script}exec '{FLOE}'")).current_dir(folder.path());
        command.envs(self.variables);
        let stdin = self.passed.map_or_else(Stdio::null, |socket| OwnedFd::from(socket).into());
        Server::launch_with(command, stdin, folder, source_password, admin_password)
    }
}

fn add(section: &mut String, line: &str) {
    section.push_str(line);
    section.push('\n');
}

/// CPUs of this machine by index; a machine with fewer names the same one again.
fn cpus(indices: &[usize]) -> Vec<usize> {
    let all = floe::rt::cores::cpus();
    indices.iter().map(|index| all[index % all.len()]).collect()
}

/// A running server.
pub struct Server {
    child: Child,
    lines: Lines,
    folder: TempDir,
    port: u16,
    /// What encoders sign in with, as user `source`.
    pub source_password: String,
    /// What the administrator signs in with, as user `admin`.
    pub admin_password: String,
}

impl Server {
    /// Two cores and the defaults.
    #[track_caller]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Runs a prepared command and waits until it listens.
    #[track_caller]
    pub fn launch(
        command: Command,
        folder: TempDir,
        source_password: String,
        admin_password: String,
    ) -> Self {
        Self::launch_with(command, Stdio::null(), folder, source_password, admin_password)
    }

    #[track_caller]
    fn launch_with(
        mut command: Command,
        stdin: Stdio,
        folder: TempDir,
        source_password: String,
        admin_password: String,
    ) -> Self {
        // What the person at the machine has set must not reach the server under test.
        for name in VARIABLES {
            if !command.get_envs().any(|(set, _)| set == *name) {
                command.env_remove(name);
            }
        }
        command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary under test runs");
        let lines = Lines::default();
        collect(child.stderr.take().expect("stderr is piped"), &lines);
        let mut server = Self { child, lines, folder, port: 0, source_password, admin_password };
        server.port = wait::until("the server listens", || {
            let ended = server.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the server ended at once: {ended:?}");
            server.log().iter().find_map(|line| listening_port(line))
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its folder, with `floe.toml`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A URL for clients that take one.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The whole log so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().expect("the reader does not panic").clone()
    }

    /// Waits for a line with all of these in it.
    #[track_caller]
    pub fn wait_line(&self, parts: &[&str]) -> String {
        wait::until(&format!("the log has a line with {parts:?}"), || {
            self.log().into_iter().find(|line| parts.iter().all(|part| line.contains(part)))
        })
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status()
            .expect("sh runs");
        assert!(sent.success(), "the server is there to be signalled");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait::until("the server ends", || child.try_wait().expect("it is our child"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what some tests want.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the server's log, newest last:");
            let lines = self.log();
            for line in &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..] {
                println!("  {line}");
            }
        }
    }
}

/// The port in the line that says where the server listens, as text or as JSON.
fn listening_port(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("listening").and_then(|_| line.split_once("127.0.0.1:"))?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Lines of the log that a failing test prints: the end tells most, and a crowd leaves thousands.
const LOG_LINES_SHOWN: usize = 200;

/// Shell words that make standard input the first passed descriptor, and announce it to whatever
/// the shell becomes.
pub const PASS_STDIN: &str = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; ";

/// The variables that win over the configuration, and those of a service manager.
const VARIABLES: &[&str] = &[
    "FLOE_CONFIG",
    "FLOE_LISTEN",
    "FLOE_HOSTNAME",
    "FLOE_SOURCE_PASSWORD",
    "FLOE_ADMIN_PASSWORD",
    "FLOE_LOG",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Lines that a program prints, as they come.
pub type Lines = Arc<Mutex<Vec<String>>>;

/// Gathers what is printed, so that the writer never blocks on a full pipe. Ends with the pipe.
pub fn collect(from: impl Read + Send + 'static, lines: &Lines) -> JoinHandle<()> {
    let gathered = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        // Players print bytes that are not UTF-8, and write over their line by a carriage return.
        while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line);
            let mut gathered = gathered.lock().expect("nobody panics with the lock");
            gathered.extend(text.trim_end_matches('\n').split('\r').map(str::to_owned));
            line.clear();
        }
    })
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("the file is there");
    metadata.permissions().mode() & 0o777
}

/// Runs the binary to its end, for commands and starts that fail; at most as long as anything may.
#[track_caller]
pub fn run_to_end(command: &mut Command) -> (Option<i32>, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary under test runs");
    let status = wait::within(Duration::from_secs(10), || child.try_wait().expect("our child"));
    if status.is_none() {
        // It runs although it should have ended; nothing else is left to do with it.
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("it ended");
    let text = [output.stdout, output.stderr].concat();
    (status.and_then(|status| status.code()), String::from_utf8_lossy(&text).into_owned())
}
