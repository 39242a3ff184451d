//! `quanyu forget-store`: says that a data directory may begin on an empty store. It is a command and no setting, for a setting would stay.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::could_not;
use crate::instance::Instance;

/// Lets a data directory begin on a new, empty store at its next start: it forgets which store it has served, and nothing else. Without the
/// store nobody's reservation, voucher or order is known any more; the keys stay, so the store can still be put back.
#[derive(Args)]
pub struct Options {
    /// Data directory of the installation.
    #[arg(long, env = "QUANYU_DATA", default_value = ".quanyu/data")]
    data: PathBuf,
}

pub fn run(options: &Options) -> ExitCode {
    match Instance::existing(&options.data).and_then(|instance| instance.forget_store_id()) {
        Ok(id) => {
            println!("forgotten={}", id.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(error) => could_not(error),
    }
}
