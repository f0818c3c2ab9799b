//! The command line: which words the `floe` command takes, and the man page and completions made
//! from the same definitions. It reads no file and starts nothing; `main.rs` acts on what it
//! returns. It runs on the main thread, before any core exists.

use crate::config;
use clap::builder::RangedI64ValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, value_parser};
use clap_mangen::roff::{Roff, bold, roman};
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

pub use clap_complete::Shell;

/// A live-streaming server that speaks Icecast.
///
/// Floe takes live sources, such as encoders and studio origins, and hands each of them to a
/// hundred thousand listeners and more. Without a command it starts the server, as floe serve does.
#[derive(Debug, Parser)]
#[command(
    name = "floe",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES,
    after_long_help = EXAMPLES
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Start the server (the default).
    ///
    /// If there is no configuration file yet, one with fresh passwords is written and the server
    /// starts with it and a demo stream.
    Serve(ServeArgs),
    /// Read the configuration and report every fault in it, without starting.
    ///
    /// The intros and outros that it names are read too. The exit status is 0 if the server would
    /// start with it, else 1.
    Check(CheckArgs),
    /// Show what this host is set to and what it should be for a number of listeners.
    ///
    /// For each setting: what it is, what it should be and why, the command that sets it and the
    /// one that takes that back. Nothing is changed without --apply.
    Tune(TuneArgs),
    /// Read a password from the terminal or standard input and print its hash for the
    /// configuration.
    ///
    /// The printed line takes the place of the password in the file, in quotes.
    HashPassword,
    /// Print the completions for a shell.
    Completions {
        /// The shell they are for.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

/// Options of `floe serve`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeArgs {
    /// Configuration file [env: FLOE_CONFIG] [default: ./floe.toml, else /etc/floe/floe.toml].
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on instead of those of the configuration; may be given more than once.
    #[arg(short, long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
}

/// Options of `floe check`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckArgs {
    /// Configuration file [env: FLOE_CONFIG] [default: ./floe.toml, else /etc/floe/floe.toml].
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Options of `floe tune`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TuneArgs {
    /// Listeners the host is to carry [default: limits.listeners of the configuration].
    #[arg(short = 'n', long, value_name = "N", value_parser = tuned(TUNE_LISTENERS))]
    pub listeners: Option<u32>,
    /// Bitrate of their streams, in kbit/s.
    #[arg(long, value_name = "KBIT", default_value_t = 128, value_parser = tuned(TUNE_KBIT))]
    pub bitrate: u32,
    /// Exit with status 1 if something that is needed is too low.
    #[arg(long, group = "act")]
    pub check: bool,
    /// As root: set the kernel variables that are too low, now and in /etc/sysctl.d/60-floe.conf,
    /// and the limits of the user floe in /etc/security/limits.d/60-floe.conf.
    #[arg(long, group = "act")]
    pub apply: bool,
    /// As root: restore what --apply changed and remove its files.
    #[arg(long, group = "act")]
    pub undo: bool,
    /// Print a sysctl.d file for any host; it takes no notice of this one, and plans for 100,000
    /// listeners at least, since fewer would lower what hosts have by default.
    #[arg(long, group = "act")]
    pub sysctl_file: bool,
    /// Print a limits.d file for any host; it takes no notice of this one.
    #[arg(long, group = "act")]
    pub limits_file: bool,
    /// Print the table as JSON.
    #[arg(long, conflicts_with_all = ["apply", "undo", "sysctl_file", "limits_file"])]
    pub json: bool,
    /// Configuration file [env: FLOE_CONFIG] [default: ./floe.toml, else /etc/floe/floe.toml].
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the host's /proc, /sys and /etc are, for tests.
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// A number in this range.
fn tuned(range: RangeInclusive<i64>) -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(range)
}

/// Listeners that `floe tune` plans for. Ten million rows would still be a gigabyte, but no host's
/// network carries them.
const TUNE_LISTENERS: RangeInclusive<i64> = 1..=10_000_000;
/// Bitrates that `floe tune` plans for, in kbit/s: from speech to raw video.
const TUNE_KBIT: RangeInclusive<i64> = 1..=1_000_000;

/// Reads the command line; `words` begins with the program's name.
///
/// # Errors
/// What is to be printed instead of running: a fault, the help or the version.
/// [`clap::Error::exit`] prints it where it belongs and ends the process with its status.
pub fn parse(
    words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Command, clap::Error> {
    let cli = Cli::try_parse_from(words)?;
    Ok(cli.command.unwrap_or(Command::Serve(cli.serve)))
}

impl ServeArgs {
    /// The environment as [`config::load`] is to see it: `--listen` wins over `FLOE_LISTEN`, and so
    /// keeps the same rules.
    pub fn overlay<'a>(
        &'a self,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            if name == config::LISTEN && !self.listen.is_empty() {
                let addresses: Vec<_> = self.listen.iter().map(ToString::to_string).collect();
                return Some(addresses.join(","));
            }
            env(name)
        }
    }
}

/// Which configuration file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// The user named it, by option or variable: if it cannot be read, that is a fault.
    Named(PathBuf),
    /// It was found in one of the usual places.
    Found(PathBuf),
    /// There is none in the usual places; a first start may write this one.
    Missing(PathBuf),
}

impl ConfigFile {
    /// The place for `named` (the value of `--config`): the option wins over `FLOE_CONFIG`, and
    /// both over the usual places. `env` looks up a variable, `exists` tells whether a file is
    /// there.
    pub fn locate(
        named: Option<&Path>,
        env: &dyn Fn(&str) -> Option<OsString>,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Self {
        if let Some(path) = named {
            return Self::Named(path.to_owned());
        }
        if let Some(path) = env(CONFIG_ENV).filter(|path| !path.is_empty()) {
            return Self::Named(path.into());
        }
        let found = USUAL_PLACES.iter().map(Path::new).find(|path| exists(path));
        match found {
            Some(path) => Self::Found(path.to_owned()),
            None => Self::Missing(USUAL_PLACES[0].into()),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Found(path) | Self::Missing(path) => path,
        }
    }
}

/// The variable that names the configuration file.
pub const CONFIG_ENV: &str = "FLOE_CONFIG";

/// Where a configuration file is looked for, the first first.
const USUAL_PLACES: [&str; 2] = ["./floe.toml", "/etc/floe/floe.toml"];

/// Writes the completions for `shell`.
///
/// # Errors
/// What `out` gives.
pub fn write_completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    // Made in memory first: clap's writer panics when the reader of a pipe goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "floe", &mut script);
    out.write_all(&script)
}

/// Writes the manual page `floe(1)`, with every command on the one page.
///
/// # Errors
/// What `out` gives.
pub fn write_man(out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone()).manual("Floe Manual");
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    man_commands(&command, out)?;
    let mut rest = Roff::new();
    for (head, rows) in MAN_SECTIONS {
        rest.control("SH", [*head]);
        for (term, text) in *rows {
            rest.control("TP", []).text([bold(*term)]).text([roman(*text)]);
        }
    }
    rest.control("SH", ["EXAMPLES"]).control("nf", []);
    let examples: Vec<_> = EXAMPLES.lines().skip(1).map(str::trim_start).collect();
    rest.text([roman(examples.join("\n"))]).control("fi", []);
    rest.control("SH", ["SEE ALSO"]).text([roman(SEE_ALSO)]);
    rest.to_writer(out)
}

/// The section of commands, each with its options.
fn man_commands(command: &clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        roff.control("SS", [format!("floe {}", command.get_name()).as_str()]);
        let about = command.get_long_about().or_else(|| command.get_about());
        for paragraph in about.map(ToString::to_string).unwrap_or_default().split("\n\n") {
            roff.control("PP", []).text([roman(sentence(paragraph))]);
        }
        let listed = |arg: &&clap::Arg| {
            !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
        };
        for arg in command.get_arguments().filter(listed) {
            roff.control("TP", []).text([bold(man_term(arg))]);
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            roff.text([roman(sentence(&help))]);
        }
    }
    roff.to_writer(out)
}

/// `text` with its full stop, which clap takes off where it is the last.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// An argument as the reader types it: `-c, --config FILE`, or `SHELL`.
fn man_term(arg: &clap::Arg) -> String {
    let names = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = names.and_then(|names| names.first()).map_or("", |name| name.as_str());
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long} {value}").trim_end().to_owned(),
        (None, Some(long)) => format!("--{long} {value}").trim_end().to_owned(),
        _ => value.to_owned(),
    }
}

const EXAMPLES: &str = "\
Examples:
  floe                                    start with ./floe.toml, written if there is none
  floe serve --config /etc/floe/floe.toml start with this file
  floe --listen 127.0.0.1:9000            listen there instead
  floe check                              report every fault of the configuration
  floe tune --listeners 100000            show what this host lacks for so many listeners
  floe hash-password                      make a hash to put in place of a password
  floe completions bash > /usr/share/bash-completion/completions/floe";

/// Sections of the manual page that stand for themselves: head, then term and text.
const MAN_SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "OPTIONS OF EVERY COMMAND",
        &[
            ("-h, --help", "Print the help; --help says more than -h."),
            ("-V, --version", "Print the version; without a command only."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (CONFIG_ENV, "The configuration file, unless --config names one."),
            (config::LISTEN, "Addresses to listen on, separated by commas: server.listen."),
            (config::HOSTNAME, "The name listeners use: server.hostname."),
            (config::SOURCE_PASSWORD, "What encoders sign in with: auth.source_password."),
            (config::ADMIN_PASSWORD, "The administrator's password: auth.admin_password."),
            (config::LOG, "error, warn, info, debug or trace: log.level."),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS",
                "Set by systemd: whom to tell, how often, and which sockets to accept from instead \
                 of binding their addresses.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("./floe.toml", "The configuration, if it is there."),
            ("/etc/floe/floe.toml", "The configuration, if it is there and the one above is not."),
            (
                "/etc/sysctl.d/60-floe.conf, /etc/security/limits.d/60-floe.conf",
                "What floe tune --apply set; floe tune --undo removes them.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "The server stopped in order, or the command did its work."),
            (
                "1",
                "The configuration has faults, the server could not start or go on, or \
                 floe tune --check found something too low.",
            ),
            ("2", "The command line was not understood."),
        ],
    ),
];

const SEE_ALSO: &str =
    "docs/floe.example.toml has every setting with its unit, range, default and reason.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn command(line: &str) -> Result<Command, ErrorKind> {
        parse(line.split(' ')).map_err(|error| error.kind())
    }

    fn serve(config: Option<&str>, listen: &[&str]) -> Result<Command, ErrorKind> {
        Ok(Command::Serve(ServeArgs {
            config: config.map(PathBuf::from),
            listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        }))
    }

    #[test]
    fn definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_server_starts() {
        assert_eq!(command("floe"), serve(None, &[]));
        assert_eq!(command("floe --config a.toml"), serve(Some("a.toml"), &[]));
        assert_eq!(command("floe -c a.toml -l [::1]:80"), serve(Some("a.toml"), &["[::1]:80"]));
    }

    #[test]
    fn serve_takes_more_than_one_address() {
        let line = "floe serve --listen 127.0.0.1:1 --listen [::1]:2 --config b";
        assert_eq!(command(line), serve(Some("b"), &["127.0.0.1:1", "[::1]:2"]));
    }

    #[test]
    fn the_other_commands_are_told_apart() {
        let check = CheckArgs { config: Some("c".into()) };
        assert_eq!(command("floe check --config c"), Ok(Command::Check(check)));
        assert_eq!(command("floe check"), Ok(Command::Check(CheckArgs::default())));
        assert!(matches!(command("floe tune"), Ok(Command::Tune(args)) if args.bitrate == 128));
        assert_eq!(command("floe hash-password"), Ok(Command::HashPassword));
        assert_eq!(command("floe man"), Ok(Command::Man));
        assert_eq!(command("floe completions zsh"), Ok(Command::Completions { shell: Shell::Zsh }));
    }

    #[test]
    fn wrong_words_are_refused_and_help_and_version_are_given() {
        assert_eq!(command("floe --listen localhost"), Err(ErrorKind::ValueValidation));
        assert_eq!(command("floe --lissen 1.2.3.4:5"), Err(ErrorKind::UnknownArgument));
        assert_eq!(command("floe srve"), Err(ErrorKind::InvalidSubcommand));
        assert_eq!(command("floe completions"), Err(ErrorKind::MissingRequiredArgument));
        assert!(command("floe --config a check").is_err());
        assert_eq!(command("floe tune --apply --undo"), Err(ErrorKind::ArgumentConflict));
        assert_eq!(command("floe tune --listeners 0"), Err(ErrorKind::ValueValidation));
        assert_eq!(command("floe tune --listeners 10000001"), Err(ErrorKind::ValueValidation));
        assert_eq!(command("floe --help"), Err(ErrorKind::DisplayHelp));
        assert_eq!(command("floe --version"), Err(ErrorKind::DisplayVersion));
    }

    #[test]
    fn help_shows_examples_and_where_the_configuration_is() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("floe hash-password"), "{help}");
        assert!(help.contains("FLOE_CONFIG"), "{help}");
        assert!(help.contains("/etc/floe/floe.toml"), "{help}");
    }

    #[test]
    fn the_option_wins_over_the_variable_and_both_over_the_usual_places() {
        let env = |name: &str| (name == CONFIG_ENV).then(|| OsString::from("env.toml"));
        let empty = |_: &str| Some(OsString::new());
        let none = |_: &str| None;
        let here = |_: &Path| true;
        let etc = |path: &Path| path.starts_with("/etc");
        let nowhere = |_: &Path| false;
        assert_eq!(
            ConfigFile::locate(Some(Path::new("a.toml")), &env, &here),
            ConfigFile::Named("a.toml".into())
        );
        assert_eq!(ConfigFile::locate(None, &env, &here), ConfigFile::Named("env.toml".into()));
        assert_eq!(
            ConfigFile::locate(None, &empty, &here),
            ConfigFile::Found("./floe.toml".into())
        );
        assert_eq!(
            ConfigFile::locate(None, &none, &etc),
            ConfigFile::Found("/etc/floe/floe.toml".into())
        );
        let missing = ConfigFile::locate(None, &none, &nowhere);
        assert_eq!(missing, ConfigFile::Missing("./floe.toml".into()));
        assert_eq!(missing.path(), Path::new("./floe.toml"));
    }

    #[test]
    fn listen_options_win_over_the_environment_and_keep_its_rules() {
        let env = |name: &str| Some(format!("env of {name}"));
        let mut args = ServeArgs::default();
        assert_eq!(args.overlay(&env)("FLOE_LISTEN").as_deref(), Some("env of FLOE_LISTEN"));
        args.listen = vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()];
        assert_eq!(args.overlay(&env)("FLOE_LISTEN").as_deref(), Some("127.0.0.1:1,[::1]:2"));
        assert_eq!(args.overlay(&env)("FLOE_LOG").as_deref(), Some("env of FLOE_LOG"));
        let none = |_: &str| None;
        let loaded = config::load("", "f", &args.overlay(&none)).unwrap();
        assert_eq!(loaded.config.server.listen, args.listen);
    }

    #[test]
    fn every_shell_gets_completions_that_name_the_commands() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut script = Vec::new();
            write_completions(shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("hash-password"), "{shell}");
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        let mut full: &mut [u8] = &mut [0; 10];
        assert!(write_completions(Shell::Bash, &mut full).is_err());
        let mut full: &mut [u8] = &mut [0; 10];
        assert!(write_man(&mut full).is_err());
    }

    #[test]
    fn the_committed_manual_page_is_up_to_date() {
        let mut page = Vec::new();
        write_man(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let committed = include_str!("../../docs/floe.1");
        assert!(page == committed, "renew it: floe man > docs/floe.1\n{page}");
    }
}
