//! The log: events of `tracing` as lines on standard error, in the form and from the level that the configuration names.
//! A thread writes them, because a terminal that is held, a full pipe or a stalled collector would stop the control loop.

mod lines;

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub use lines::Writer;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// The running log, whose level can change.
#[derive(Clone, Debug)]
pub struct Log {
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Starts the log. A log that runs already stays, with its own level and form. What has been logged is written when the
    /// [`Writer`] is dropped.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(config: &LogConfig) -> io::Result<(Self, Writer)> {
        let (filter, level) = reload::Layer::new(filter(config.level));
        let (lines, writer) = lines::start(io::stderr(), |lost| {
            tracing::warn!(
                lost,
                "lines of the log are lost, as standard error did not take them: {lost} since the start"
            );
        })?;
        let lines = fmt::layer()
            .with_writer(move || lines.clone())
            .with_ansi(io::stderr().is_terminal());
        let lines = match config.format {
            LogFormat::Text => lines.with_target(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let _ = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        Ok((Self { level }, writer))
    }

    /// Logs events from `level` on.
    pub fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.level.reload(filter(level)) {
            tracing::warn!("the log's level stays as it is: {error}");
        }
    }
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
