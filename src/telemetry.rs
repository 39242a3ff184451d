//! Logs: readable on a terminal, one JSON object a line otherwise, always on standard error so that a command's answer stays alone on
//! standard output. Bodies, tokens, keys and document numbers are never given to a log line.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    #[default]
    Auto,
    Human,
    Json,
}

/// Settings of the log.
#[derive(Args, Clone, Debug)]
pub struct LogSettings {
    /// Form of log lines.
    #[arg(long, env = "QUANYU_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `info,quanyu::access=debug` (which logs successful requests too).
    #[arg(long, env = "QUANYU_LOG", default_value = "info")]
    pub log: String,
}

impl LogFormat {
    fn is_json(self, terminal: bool) -> bool {
        match self {
            LogFormat::Auto => !terminal,
            LogFormat::Human => false,
            LogFormat::Json => true,
        }
    }
}

/// Starts logging for the process; a second call changes nothing. The error names what is wrong with the filter.
pub fn init(settings: &LogSettings) -> Result<(), String> {
    let terminal = std::io::stderr().is_terminal();
    let filter = filter(&settings.log)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if settings.log_format.is_json(terminal) {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).with_target(false).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// Reads what is logged; the error names the setting.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(text).map_err(|error| format!("QUANYU_LOG={text:?} is not a log filter: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_reads_text_and_a_collector_reads_json_unless_told_otherwise() {
        for (format, terminal, json) in [
            (LogFormat::Auto, true, false),
            (LogFormat::Auto, false, true),
            (LogFormat::Human, false, false),
            (LogFormat::Json, true, true),
        ] {
            assert_eq!(format.is_json(terminal), json, "{format:?} {terminal}");
        }
    }

    #[test]
    fn a_filter_with_a_typo_is_refused_by_name() {
        assert!(filter("info,quanyu::access=debug").is_ok());
        assert!(filter("quanyu=loud").unwrap_err().contains("quanyu=loud"));
    }
}
