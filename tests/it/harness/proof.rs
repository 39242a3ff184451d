//! A drawn round as everybody can check it: the published files, and the verifier that shares no code with the draw.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{Scratch, Server, program};

/// Proof, entries and winners of a round, as they were published.
#[derive(Clone)]
pub struct Drawn {
    pub commitment: Value,
    pub proof: Value,
    pub entries: Vec<Value>,
    pub winners: Vec<Value>,
}

impl Drawn {
    /// What the verifier says about these files, and whether it finds them in order.
    pub fn verdict(&self) -> (bool, String) {
        let folder = Scratch::new("quanyu-drawn");
        let put = |name: &str, text: String| fs::write(folder.path.join(name), text).expect("a file");
        let ndjson = |lines: &[Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        put("commitment.json", self.commitment.to_string());
        put("proof.json", self.proof.to_string());
        put("entries.ndjson", ndjson(&self.entries));
        put("winners.ndjson", ndjson(&self.winners));
        let output = Command::new(program()).arg("verify-draw").arg(&folder.path).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

impl Server {
    /// Every published file of a round agrees with what the verifier computes from them.
    #[track_caller]
    pub fn verified_draw(&self, campaign: &str, round: &str) -> Drawn {
        let get = |what: &str| {
            let path = format!("/v1/campaigns/{campaign}/rounds/{round}/{what}");
            self.office("GET", &path, None).ok()
        };
        let [entries, winners] = ["entries", "winners"].map(|name| {
            let text = get(name).text();
            text.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect::<Vec<Value>>()
        });
        let drawn = Drawn { commitment: get("commitment").json, proof: get("proof").json, entries, winners };
        let (in_order, said) = drawn.verdict();
        assert!(in_order, "{said}\n{}", drawn.proof);
        drawn
    }
}
