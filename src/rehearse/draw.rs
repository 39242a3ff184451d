//! The draw as an outsider sees it: waits for the commitment, and afterwards recomputes everything from the proof.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use load_client::Answer;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Auth, Call, excerpt, problem_code};
use super::mass::{self, Each};
use super::people::{Health, Stream};
use super::rain::{LOST, MOMENTS, WON, first_tap, note_pack};
use super::recorder::{Counted, Keys, Op};
use super::reserve::Crowd;
use super::{Result, World, io_error};

const PATIENCE: Duration = Duration::from_secs(120);
/// Of 10,000 losers: ask after the close what became of their chance.
const LOSERS_ASKING: u64 = 100;

#[derive(Deserialize)]
struct Mine<'a> {
    result: &'a str,
    #[serde(borrow)]
    pack: Option<MyPack<'a>>,
}

#[derive(Deserialize)]
struct MyPack<'a> {
    pack_no: &'a str,
}

/// The list closes and the draw runs by itself; the count that is committed to must be the crowd's.
pub async fn wait_until_drawn(world: &World<'_>, crowd: &Crowd) -> Result<()> {
    let begun = Instant::now();
    world.office.clock(world.scenario.reservation.1).await?;
    world.office.clock(world.scenario.draw_at).await?;
    let path = world.office.round_path("/commitment");
    let commitment =
        world.office.wait("the list to be closed", &path, PATIENCE, |answer| answer["root"].is_string()).await?;
    if commitment["count"].as_u64() != Some(crowd.told.len() as u64) {
        world.recorder.fault("the closed list does not count everybody who reserved", || commitment.to_string());
    }
    save(world, "commitment.json", &commitment)?;
    // A server that does not tell in its stats whether the draw has run will be asked by the first taps.
    let drawn = |stats: &Value| stats["rounds"][0]["drawn"] != false;
    world.office.wait("the draw", &world.office.campaign_path("/stats"), PATIENCE, drawn).await?;
    println!("list=closed count={} root={}", commitment["count"], commitment["root"].as_str().unwrap_or("-"));
    world.recorder.stage("close and draw", begun.elapsed());
    Ok(())
}

/// After the close: every decided winner has a pack, the proof verifies, and nobody was told anything else.
pub async fn verify(world: &World<'_>, crowd: &mut Crowd, keys: &mut Keys) -> Result<Vec<u32>> {
    let begun = Instant::now();
    let due = world.scenario.packs_due();
    world.office.clock(world.scenario.rain.1).await?;
    let stats = world.office.campaign_path("/stats");
    let all_issued = |stats: &Value| stats["issued"].as_u64().unwrap_or_default() >= due;
    let stats = world.office.wait("all packs to be credited", &stats, PATIENCE, all_issued).await?;
    let issued = stats["issued"].as_u64().unwrap_or_default();
    keys.credit_seconds = Some(begun.elapsed().as_secs_f64());
    keys.packs_issued = Counted::new(issued, due);
    download(world).await?;
    keys.draw = Some(recompute(world).await);
    let winners = winners(world, crowd)?;
    compare_answers(world, crowd, &winners);
    ask_the_untold(world, crowd, &winners).await?;
    keys.oversold = Some(issued.max(crowd.packs.len() as u64).saturating_sub(world.scenario.packs));
    keys.duplicates = Some(crowd.doubles + same_numbers(crowd));
    compare_scripts(world, crowd, &winners);
    fairness(world, crowd.told.len(), &winners);
    println!(
        "packs_issued={issued} oversold={} duplicates={}",
        keys.oversold.unwrap_or(1),
        keys.duplicates.unwrap_or(1)
    );
    world.recorder.stage("credit and verify", begun.elapsed());
    Ok(winners)
}

async fn download(world: &World<'_>) -> Result<()> {
    let path = world.office.round_path("/proof");
    let proof = world.office.wait("the proof", &path, PATIENCE, |proof| proof["secret"].is_string()).await?;
    for (field, file) in [("entries_url", "entries.ndjson"), ("winners_url", "winners.ndjson")] {
        let url = proof[field].as_str().unwrap_or_default();
        let path = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        world.client.download(path, world.office.key(), &proof_file(world, file)).await?;
    }
    save(world, "proof.json", &proof)?;
    save(world, "campaign.json", &world.scenario.document)
}

async fn recompute(world: &World<'_>) -> bool {
    let folder = world.folder.join("proof");
    let verdict = tokio::task::spawn_blocking(move || {
        crate::verify::verify_folder(&folder).map_err(|failure| failure.to_string())
    })
    .await;
    match verdict {
        Ok(Ok(_)) => {
            println!("draw=verified");
            true
        }
        Ok(Err(why)) => {
            world.recorder.fault("the draw cannot be recomputed from its proof", || why);
            false
        }
        Err(crash) => {
            world.recorder.fault("verifying the draw crashed", || crash.to_string());
            false
        }
    }
}

/// The people behind the published winners, in ascending order.
fn winners(world: &World<'_>, crowd: &Crowd) -> Result<Vec<u32>> {
    #[derive(Deserialize)]
    struct Line<'a> {
        pseudonym: &'a str,
    }
    let mut index: Vec<(u64, u32)> = crowd.prefixes.iter().copied().zip(0_u32..).collect();
    index.sort_unstable();
    let path = proof_file(world, "winners.ndjson");
    let file = std::fs::File::open(&path).map_err(|e| io_error(&path, e))?;
    let mut people = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| io_error(&path, e))?;
        let parsed = serde_json::from_str::<Line<'_>>(&line).ok();
        let prefix = parsed.and_then(|line| u64::from_str_radix(line.pseudonym.get(..16)?, 16).ok());
        match prefix.and_then(|prefix| index.binary_search_by_key(&prefix, |entry| entry.0).ok()) {
            Some(at) => people.push(index[at].1),
            None => world.recorder.fault("a published winner never reserved", || line.clone()),
        }
    }
    people.sort_unstable();
    let before = people.len();
    people.dedup();
    if people.len() != before || people.len() as u64 != world.scenario.packs_due() {
        world
            .recorder
            .fault("the winners' list has the wrong length", || format!("{before} lines, {} people", people.len()));
    }
    Ok(people)
}

fn compare_answers(world: &World<'_>, crowd: &Crowd, winners: &[u32]) {
    let listed: HashSet<u32> = winners.iter().copied().collect();
    for (person, told) in (0_u32..).zip(&crowd.told) {
        let wins = listed.contains(&person);
        if (wins && told & LOST != 0) || (!wins && told & WON != 0) {
            world.recorder.fault("a tap was told otherwise than the published list", || {
                format!("person {person}, listed {wins}")
            });
        }
    }
}

/// A thousand taps have won what one tap wins: a pack for who is on the list, and nothing for who is not.
fn compare_scripts(world: &World<'_>, crowd: &mut Crowd, winners: &[u32]) {
    let scripts = std::mem::take(&mut crowd.scripts);
    let judged = scripts.into_iter().map(|script| {
        let listed = winners.binary_search(&script.person).is_ok();
        if listed != crowd.packs.contains_key(&script.person) || listed == (script.lost > 0) {
            world.recorder.fault("a scripted client has another result than the list", || format!("{script:?}"));
        }
        (script, listed)
    });
    let judged: Vec<_> = judged.collect();
    let won = judged.iter().filter(|(_, listed)| *listed).count();
    println!("scripted_winners={won} of {}", judged.len());
    *world.recorder.scripts.borrow_mut() = judged;
}

/// Winners who never saw their pack read it now; some losers ask, too.
async fn ask_the_untold(world: &World<'_>, crowd: &mut Crowd, winners: &[u32]) -> Result<()> {
    let people = world.people;
    let untold = winners.iter().copied().filter(|person| !crowd.packs.contains_key(person));
    let asking = |person: &u32| people.chance(Stream::Sample, u64::from(*person), LOSERS_ASKING);
    let listed: HashSet<u32> = winners.iter().copied().collect();
    let losers = (0..crowd.told.len() as u32).filter(|person| !listed.contains(person)).filter(asking);
    let items: Vec<u32> = untold.chain(losers).collect();
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer ",
        world.office.round_path("/claims/mine"),
        world.client.address
    );
    let Crowd { packs, doubles, .. } = crowd;
    let build = |person: u32, out: &mut Vec<u8>| {
        out.extend_from_slice(head.as_bytes());
        people.write_token(person, Health::Green, out);
        out.extend_from_slice(b"\r\n\r\n");
    };
    let handle = |person: u32, reply: &Answer<'_>| {
        let answer = serde_json::from_slice::<Mine<'_>>(reply.body).ok().filter(|_| reply.status == 200);
        match answer {
            Some(Mine { result: "won", pack: Some(pack) }) if listed.contains(&person) => {
                note_pack(packs, person, pack.pack_no, doubles);
            }
            Some(Mine { result: "lost", .. }) if !listed.contains(&person) => {}
            _ => {
                let what = format!("claims/mine after the close: {} {}", reply.status, problem_code(reply.body));
                world.recorder.fault(&what, || format!("person {person}: {}", excerpt(reply.body)));
            }
        }
    };
    let length = items.len() as u64;
    let mut asking = Each { op: Op::ClaimsMine, people: items.into_iter(), build, handle };
    mass::play(world, "ask", length, &mut asking)?;
    look_into_a_wallet(world, winners).await
}

/// One winner opens the wallet: the vouchers of the pack are there.
async fn look_into_a_wallet(world: &World<'_>, winners: &[u32]) -> Result<()> {
    let Some(person) = winners.first() else { return Ok(()) };
    let token = world.people.token(*person, Health::Green);
    let answer = world.client.ask(Call::get(Op::Read, "/v1/wallet", Auth::Bearer(&token))).await?;
    let shown = answer.value()["vouchers"].as_array().map_or(0, Vec::len) as u64;
    if shown != world.scenario.vouchers_per_pack() {
        world
            .recorder
            .fault("a winner's wallet does not show the pack", || format!("{shown} vouchers: {}", answer.text()));
    }
    Ok(())
}

/// Pack numbers that two people were shown.
fn same_numbers(crowd: &Crowd) -> u64 {
    let mut numbers: Vec<u64> = crowd.packs.values().copied().collect();
    numbers.sort_unstable();
    numbers.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
}

/// Winners by the tenth of the window in which they first tapped: equal bars are the point of a decided rain.
fn fairness(world: &World<'_>, people: usize, winners: &[u32]) {
    let mut tenths = vec![(0_u64, 0_u64); 10];
    let tenth = |person: u32| first_tap(world, person).map(|moment| (moment * 10 / MOMENTS) as usize);
    (0..people as u32).filter_map(tenth).for_each(|tenth| tenths[tenth].1 += 1);
    winners.iter().filter_map(|person| tenth(*person)).for_each(|tenth| tenths[tenth].0 += 1);
    let share = |(won, of): (u64, u64)| if of == 0 { 0.0 } else { won as f64 * 100.0 / of as f64 };
    println!("winners_tapping_first_tenth={:.1}% last_tenth={:.1}%", share(tenths[0]), share(tenths[9]));
    *world.recorder.fairness.borrow_mut() = tenths;
}

fn save(world: &World<'_>, name: &str, value: &Value) -> Result<()> {
    let path = proof_file(world, name);
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| io_error(folder, e))?;
    std::fs::write(&path, value.to_string()).map_err(|e| io_error(&path, e))
}

fn proof_file(world: &World<'_>, name: &str) -> std::path::PathBuf {
    world.folder.join("proof").join(name)
}
