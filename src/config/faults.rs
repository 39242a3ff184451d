//! What is wrong with settings that have the right form: each fault is one sentence that begins with the setting's name.

use std::net::IpAddr;
use std::path::Path;

use clap::ArgMatches;

use super::Settings;
use crate::app::AppError;
use crate::domain::time::Ms;
use crate::store::embedded::binary_fault;
use crate::store::probe::Durability;
use crate::store::url_fault;
use crate::telemetry;

/// The settings that are judged; of one whose form was refused already nothing is said.
#[derive(Default)]
pub struct Judged<'a> {
    listen: Option<&'a str>,
    redis_url: Option<&'a str>,
    durability: Option<Durability>,
    store_binary: Option<&'a Path>,
    log: Option<&'a str>,
    clock: Option<Ms>,
    sandbox: Option<bool>,
}

impl<'a> Judged<'a> {
    pub fn of(settings: &'a Settings) -> Judged<'a> {
        Judged {
            listen: Some(&settings.listen),
            redis_url: settings.redis_url.as_deref(),
            durability: Some(settings.durability),
            store_binary: settings.store_binary.as_deref(),
            log: Some(&settings.log.log),
            clock: settings.clock,
            sandbox: Some(settings.sandbox),
        }
    }

    pub fn of_matches(matches: &'a ArgMatches) -> Judged<'a> {
        fn given<'a, T: Clone + Send + Sync + 'static>(matches: &'a ArgMatches, id: &str) -> Option<&'a T> {
            matches.try_get_one::<T>(id).ok().flatten()
        }
        Judged {
            listen: given::<String>(matches, "listen").map(String::as_str),
            redis_url: given::<String>(matches, "redis_url").map(String::as_str),
            durability: given(matches, "durability").copied(),
            store_binary: given::<std::path::PathBuf>(matches, "store_binary").map(|path| path.as_path()),
            log: given::<String>(matches, "log").map(String::as_str),
            clock: given(matches, "clock").copied(),
            sandbox: given(matches, "sandbox").copied(),
        }
    }

    pub async fn faults(&self) -> Vec<String> {
        let binary = match self.store_binary {
            Some(path) => binary_fault(path).await,
            None => None,
        };
        let faults = [
            ("QUANYU_LISTEN", self.listen.and_then(listen_fault)),
            ("QUANYU_REDIS_URL", self.redis_url.and_then(url_fault)),
            (
                "QUANYU_DURABILITY",
                (self.durability == Some(Durability::D3)).then(|| AppError::NoReplicaWait.to_string()),
            ),
            ("QUANYU_STORE_BINARY", binary),
            ("QUANYU_CLOCK", self.clock.filter(|_| self.sandbox == Some(false)).map(|_| CLOCK.to_owned())),
        ];
        let named = faults.into_iter().filter_map(|(name, fault)| Some(format!("{name}: {}", fault?)));
        let log = self.log.into_iter().flat_map(telemetry::faults);
        named.chain(log).collect()
    }
}

const CLOCK: &str =
    "only a sandbox has a clock that can be set; start it with QUANYU_SANDBOX=true, or leave the clock out";

/// Names are looked up when the service starts, and not here.
fn listen_fault(text: &str) -> Option<String> {
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
        None => !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']),
    };
    let fits = text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok());
    (!fits).then(|| format!("{text:?} is not an address and a port, such as 127.0.0.1:8080 or [::]:8080"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, fits) in [
            ("127.0.0.1:8080", true),
            ("[::]:0", true),
            ("quanyu.internal:80", true),
            (":8080", false),
            ("8080", false),
            ("localhost:http", false),
            ("localhost:65536", false),
            ("::1:8080", false),
            ("[127.0.0.1]:80", false),
            ("http://localhost:80", false),
            ("", false),
        ] {
            assert_eq!(listen_fault(text).is_none(), fits, "{text}");
        }
    }
}
