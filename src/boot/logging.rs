//! The log: tracing's lines and the access log, each by its own bounded queue to the writer thread.

use std::io;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::base::limits::{LOG_FINISH, LOG_LINES_MAX};
use crate::config::{Format, Level, Log, LogTarget};
use crate::control::log::{Destination, Writer};
use crate::ring::Spool;

use super::Failure;

/// The running log.
pub(super) struct Logging {
    writer: Writer,
    /// Where cores put access lines; none if the access log is off.
    pub(super) access: Option<Arc<Spool>>,
}

impl Logging {
    /// Starts the writer and takes in everything that is traced from now on.
    pub(super) fn start(log: &Log) -> Result<Self, Failure> {
        let messages = Arc::new(Spool::new(LOG_LINES_MAX));
        let access = Arc::new(Spool::new(LOG_LINES_MAX));
        let access_to = Destination::open(&log.access, Arc::clone(&access)).map_err(|error| {
            Failure::new(format!(
                "cannot open the access log: {error}; make its folder writable for floe, or set \
                 log.access to \"off\""
            ))
        })?;
        let has_access = access_to.is_some();
        let messages_to = Destination::open(&LogTarget::Stderr, Arc::clone(&messages))?;
        subscribe(log, messages)?;
        let writer = Writer::start(messages_to.into_iter().chain(access_to).collect())?;
        Ok(Self { writer, access: has_access.then_some(access) })
    }

    /// Writes what is left.
    pub(super) fn finish(self) {
        // If it hangs there is nobody to tell.
        let _ = self.writer.finish(LOG_FINISH);
    }
}

fn subscribe(log: &Log, messages: Arc<Spool>) -> Result<(), Failure> {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines(messages));
    let layer = match log.format {
        Format::Text => lines.with_ansi(false).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = Registry::default().with(layer.with_filter(level));
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| Failure::new(error.to_string()))
}

/// Makes one writer for each event.
struct Lines(Arc<Spool>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { text: Vec::new(), spool: Arc::clone(&self.0) }
    }
}

/// One event's text; queued when the event is complete.
struct Line {
    text: Vec<u8>,
    spool: Arc<Spool>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() {
            // A full queue counts what it drops; the writer tells how many.
            self.spool.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
}
