//! A drawn round as everybody can check it: the published files, and the verifier that shares no code with the draw.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{Scratch, Server, program};

/// Proof, entries and winners of a round, as they were published.
pub struct Drawn {
    pub proof: Value,
    pub entries: Vec<Value>,
    pub winners: Vec<Value>,
}

impl Server {
    /// Every published file of a round agrees with what the verifier computes from them.
    #[track_caller]
    pub fn verified_draw(&self, campaign: &str, round: &str) -> Drawn {
        let get = |what: &str| {
            let path = format!("/v1/campaigns/{campaign}/rounds/{round}/{what}");
            self.office("GET", &path, None).ok()
        };
        let folder = Scratch::new("quanyu-drawn");
        let put = |name: &str, text: &str| fs::write(folder.path.join(name), text).expect("a file");
        let [entries, winners] = ["entries", "winners"].map(|name| {
            let text = get(name).text();
            put(&format!("{name}.ndjson"), &text);
            text.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect::<Vec<Value>>()
        });
        let proof = get("proof").json;
        put("proof.json", &proof.to_string());
        put("commitment.json", &get("commitment").text());
        let output = Command::new(program()).arg("verify-draw").arg(&folder.path).output().expect("it runs");
        assert!(output.status.success(), "{}\n{proof}", String::from_utf8_lossy(&output.stderr));
        Drawn { proof, entries, winners }
    }
}
