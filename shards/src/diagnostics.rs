//! The server's own log lines: to standard output or `logfile`, from `loglevel` on.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use crate::config::{Config, LogLevel};

static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Verbose | LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
    };
    // glommio calls it an error that a disk has no polled I/O, which nothing here asks for; what
    // really fails in the housekeeping comes back as a result and is told by the log itself.
    Targets::new()
        .with_default(own)
        .with_target("glommio", LevelFilter::OFF)
}

/// Opens the log file, if one is configured, and starts writing lines.
///
/// # Errors
/// If the file cannot be opened.
pub fn start(config: &Config) -> io::Result<()> {
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    let _ = LEVEL.set(handle);
    let registry = tracing_subscriber::registry().with(level);
    if config.logfile.is_empty() {
        // Colours are for eyes: in a pipe or a journal they would split names from values.
        let layer = fmt::layer()
            .with_target(false)
            .with_ansi(io::stdout().is_terminal());
        registry.with(layer).init();
    } else {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&config.logfile)?;
        let layer = fmt::layer()
            .with_target(false)
            .with_ansi(false)
            .with_writer(Mutex::new(file));
        registry.with(layer).init();
    }
    Ok(())
}

/// Changes the level while the server runs (CONFIG SET loglevel).
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // Fails only when the subscriber is gone, with the process.
        let _ = handle.reload(filter(level));
    }
}
