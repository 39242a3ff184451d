//! Logs: readable on a terminal, one JSON object a line otherwise, always on standard error so that a command's answer stays alone on
//! standard output. Bodies, tokens, keys and document numbers are never given to a log line.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::domain::campaign::spelling::{did_you_mean, nearest};

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

/// Under which names there are log lines, for they begin with these: our own modules and `quanyu::access`, and libraries that write some.
const TARGETS: [&str; 58] = [
    "actix_http",
    "actix_rt",
    "actix_server",
    "actix_web",
    "mio",
    "quanyu::access",
    "quanyu::app",
    "quanyu::cli::serve",
    "quanyu::engine",
    "quanyu::engine::campaign::amendment",
    "quanyu::engine::campaign::known",
    "quanyu::engine::config::heard",
    "quanyu::engine::pack::credit",
    "quanyu::engine::draw",
    "quanyu::engine::grant",
    "quanyu::engine::grant::count",
    "quanyu::engine::pack::quotas",
    "quanyu::engine::job",
    "quanyu::engine::job::abreast",
    "quanyu::engine::job::standstill",
    "quanyu::engine::draw::entries",
    "quanyu::engine::merchant",
    "quanyu::engine::merchant::change",
    "quanyu::engine::list",
    "quanyu::engine::pool",
    "quanyu::engine::quota",
    "quanyu::engine::order::open",
    "quanyu::engine::order::owed",
    "quanyu::engine::order::refund_limits",
    "quanyu::engine::reservation::quotas",
    "quanyu::engine::order::retention",
    "quanyu::engine::stock",
    "quanyu::engine::stock::holders",
    "quanyu::engine::key::terminal",
    "quanyu::engine::key::till",
    "quanyu::engine::job::upkeep",
    "quanyu::engine::config::view",
    "quanyu::engine::wave",
    "quanyu::http",
    "quanyu::http::answer",
    "quanyu::http::listen",
    "quanyu::http::middleware",
    "quanyu::http::published",
    "quanyu::http::order",
    "quanyu::http::settlement",
    "quanyu::instance",
    "quanyu::store",
    "quanyu::store::batch",
    "quanyu::store::embedded",
    "quanyu::store::embedded::child",
    "quanyu::store::embedded::log",
    "quanyu::store::error",
    "quanyu::store::health",
    "quanyu::store::link",
    "quanyu::telemetry",
    "redis",
    "rustls",
    "tokio",
];

/// What is wrong with a filter, one sentence each: it cannot be read, or it names what nothing logs under, which would keep silent.
pub fn faults(text: &str) -> Vec<String> {
    if let Err(fault) = filter(text) {
        return vec![fault];
    }
    let is_level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let named =
        text.split(',').map(|directive| (directive, directive.split(['=', '[']).next().unwrap_or_default().trim()));
    let unknown = named.filter(|(directive, name)| {
        let level_alone = !directive.contains('=') && is_level(name);
        !name.is_empty() && !level_alone && !TARGETS.iter().any(|target| target.starts_with(name))
    });
    let known: Vec<&str> = ["off", "error", "warn", "info", "debug", "trace"].into_iter().chain(TARGETS).collect();
    let fault = |name: &str| {
        let meant = did_you_mean(nearest(name, &known)).1;
        format!("QUANYU_LOG: nothing logs under {name:?}, so it would show nothing.{meant}")
    };
    unknown.map(|(_, name)| fault(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

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

    #[test]
    fn a_name_that_nothing_logs_under_is_told() {
        for (text, told) in [
            ("info", 0),
            ("OFF", 0),
            ("warn,quanyu=info,quanyu::engine=debug,quanyu::access=debug,actix_server=warn,", 0),
            ("info,quanyu[request{request_id=x}]=debug,[request]=trace", 0),
            ("inof", 1),
            ("info,quanyu::acess=debug,quanyu::engine::job", 1),
            ("info,qanyu", 1),
            ("info,hyper=debug,quanyu:access", 2),
        ] {
            assert_eq!(faults(text).len(), told, "{text}: {:?}", faults(text));
        }
        assert!(faults("infos")[0].ends_with("Did you mean info?"), "{:?}", faults("infos"));
    }

    /// The table is what the sources say.
    #[test]
    fn the_names_are_those_of_the_modules_that_log() {
        let (root, mut folders, mut logging) =
            (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new(), BTreeSet::new());
        folders.push(root.clone());
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(folder).expect("a folder").flatten().map(|file| file.path()) {
                if file.is_dir() {
                    folders.push(file);
                    continue;
                }
                let text = fs::read_to_string(&file).unwrap_or_default();
                let logs = ["info", "warn", "error", "debug", "trace"]
                    .iter()
                    .any(|level| text.contains(&format!("tracing::{level}!")));
                let inside = file.strip_prefix(&root).expect("inside").with_extension("");
                let names: Vec<_> =
                    inside.iter().map(|name| name.to_string_lossy()).filter(|name| name != "mod").collect();
                if logs {
                    logging.insert(format!("quanyu::{}", names.join("::")));
                }
            }
        }
        logging.extend(["quanyu::access".to_owned(), "quanyu::store".to_owned()]);
        let table: BTreeSet<String> =
            TARGETS.iter().filter(|name| name.starts_with("quanyu")).map(|name| (*name).to_owned()).collect();
        assert_eq!(table, logging);
    }
}
