//! Names that look like settings and are none: their settings would silently keep the default. The service starts all the same and warns, for
//! a machine may share its environment with others; `quanyu config check` refuses them.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;

use super::Settings;
use crate::domain::campaign::spelling::{did_you_mean, nearest};

/// What the tests of the repository read from the environment.
const OF_TESTS: [&str; 4] = ["QUANYU_NODE", "QUANYU_REPORT_SAMPLE", "QUANYU_TEST_DATA", "QUANYU_TEST_SEED"];

/// A file of settings that has been read: the names on its lines, in their order.
pub struct SettingsFile {
    path: String,
    names: Vec<String>,
}

impl SettingsFile {
    /// Reads the file into the environment, in which a name that is there already stays as it is.
    pub fn load(path: &Path) -> Result<SettingsFile, String> {
        let at = |error: dotenvy::Error| format!("{}: {error}", path.display());
        let lines = dotenvy::from_path_iter(path).map_err(at)?;
        let names = lines.map(|line| line.map(|(name, _)| name)).collect::<Result<_, _>>().map_err(at)?;
        dotenvy::from_path(path).map_err(at)?;
        Ok(SettingsFile { path: path.display().to_string(), names })
    }
}

/// A sentence for each name that is no setting, in the environment or in a file of settings, and for each that stands in a file twice.
pub fn misnamed(files: &[SettingsFile]) -> Vec<String> {
    let command = Settings::augment_args(clap::Command::new("settings"));
    let known: Vec<&str> = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    let environment = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let environment: Vec<String> = environment.filter(|name| looks_ours(name)).collect();
    faults(&known, environment, files)
}

fn looks_ours(name: &str) -> bool {
    name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("QUANYU_")) && !OF_TESTS.contains(&name)
}

/// A file of settings is ours alone, so no name in it means something else.
fn faults(known: &[&str], environment: Vec<String>, files: &[SettingsFile]) -> Vec<String> {
    let of_files = files.iter().flat_map(|file| &file.names).cloned();
    let names: BTreeSet<String> = environment.into_iter().chain(of_files).collect();
    let unknown = names.iter().filter(|name| !known.contains(&name.as_str()) && !OF_TESTS.contains(&name.as_str()));
    let unknown = unknown.map(|name| format!("{name} is no setting.{}", did_you_mean(nearest(name, known)).1));
    let twice = files.iter().flat_map(|file| {
        let again = file.names.iter().enumerate().filter(|(n, name)| file.names[..*n].contains(name));
        let again: BTreeSet<&String> = again.map(|(_, name)| name).collect();
        again
            .into_iter()
            .map(|name| format!("{name} stands more than once in {}, and the first line counts.", file.path))
    });
    unknown.chain(twice).collect()
}
