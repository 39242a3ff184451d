//! Stage C, first half: merchants enrol, are approved, and get a terminal each.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Instant;

use serde_json::{Value, json};

use super::people::{Stream, district};
use super::{Result, World};

/// One terminal of one merchant: enough to ring up a purchase.
#[derive(Clone, Debug)]
pub struct Till {
    pub merchant_id: String,
    pub store_id: String,
    pub terminal_id: String,
    pub key_id: String,
    pub secret: String,
    pub category: String,
}

impl Till {
    pub fn sign(&self, method: &str, path: &str, body: &str) -> String {
        crate::signing::sign_request(method, path, &self.key_id, &self.secret, body.as_bytes())
    }
}

/// All merchants but the late ones, who come when validity is nearly over.
pub async fn enrol(world: &World<'_>) -> Result<Vec<Till>> {
    let begun = Instant::now();
    let (early, late) = counts(world);
    let tills = enrol_some(world, 0..early).await?;
    println!("merchants={early} enrolling_late={late}");
    world.recorder.stage("enrol merchants", begun.elapsed());
    Ok(tills)
}

/// Enrolment stays open to the last day, and a voucher issued long before is good there at once.
pub async fn enrol_late(world: &World<'_>) -> Result<Vec<Till>> {
    let (early, late) = counts(world);
    enrol_some(world, early..early + late).await
}

fn counts(world: &World<'_>) -> (u64, u64) {
    let all = world.options.merchants.unwrap_or((world.scenario.population / 1_000).clamp(8, 2_000)).max(1);
    let late = all / 20;
    (all - late, late)
}

async fn enrol_some(world: &World<'_>, numbers: Range<u64>) -> Result<Vec<Till>> {
    let tills = RefCell::new(Vec::new());
    let count = (numbers.end - numbers.start) as usize;
    world
        .client
        .each(count, async |index| {
            let till = enrol_one(world, numbers.start + index as u64).await?;
            tills.borrow_mut().push(till);
            Ok(())
        })
        .await?;
    let mut tills = tills.into_inner();
    // Answers arrive in any order; the seed must decide who shops where.
    tills.sort_unstable_by(|a, b| a.merchant_id.cmp(&b.merchant_id));
    Ok(tills)
}

async fn enrol_one(world: &World<'_>, number: u64) -> Result<Till> {
    let office = world.office;
    let merchant = merchant(world, number);
    let id = format!("m{number:05}");
    office.post("/v1/merchants", &merchant).await?;
    let enrolment = office.campaign_path(&format!("/merchants/{id}"));
    office.put(&enrolment, &json!({})).await?;
    office.post(&format!("{enrolment}/approve"), &json!({})).await?;
    let terminal_id = format!("{id}-t1");
    let body = json!({"terminal_id": terminal_id});
    let made = office.post(&format!("/v1/merchants/{id}/terminals"), &body).await?;
    let word = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    let categories = &world.scenario.categories;
    let category = match categories.as_slice() {
        [] => "catering".to_owned(),
        some => some[number as usize % some.len()].clone(),
    };
    Ok(Till {
        store_id: format!("{id}-s1"),
        merchant_id: id,
        terminal_id: word("terminal_id"),
        key_id: word("key_id"),
        secret: word("secret"),
        category,
    })
}

fn merchant(world: &World<'_>, number: u64) -> Value {
    let scenario = world.scenario;
    let salt = world.people.dice(Stream::Shop, number << 40);
    let registered = district(&scenario.registered_prefix, salt);
    let operating = district(&scenario.operating_prefix, salt);
    let sole_trader = number % 3 == 2;
    let category = scenario.categories.get(number as usize % scenario.categories.len().max(1));
    let industry = industry_code(category.map_or("catering", String::as_str));
    json!({
        "merchant_id": format!("m{number:05}"),
        "code": credit_code(if sole_trader { "92" } else { "91" }, &registered, number),
        "kind": if sole_trader { "sole_trader" } else { "enterprise" },
        "name": {"zh": format!("演练商户{number}号"), "en": format!("Rehearsal merchant {number}")},
        "registered_district": registered,
        "operating_district": operating,
        "industry_code": industry,
        "stores": [{"store_id": format!("m{number:05}-s1"), "name": {"zh": "总店", "en": "Main store"}, "district": operating}],
    })
}

/// GB/T 4754-2017 classes that a city would put behind these words.
fn industry_code(category: &str) -> &'static str {
    match category {
        "department_store" => "5211",
        "tourism" => "7291",
        "lodging" => "6110",
        "culture" => "8810",
        "sport" => "8930",
        "entertainment" => "9011",
        "creative" => "8890",
        _ => "6210",
    }
}

/// The 31 characters of GB 32100, in the order of their values.
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// A formally valid unified social credit code, with the organisation code's own check character inside.
fn credit_code(office: &str, district: &str, number: u64) -> String {
    let mut code = format!("{office}{district}{:08}", number % 100_000_000);
    code.push(organisation_check(&code.as_bytes()[8..]));
    code.push(credit_check(code.as_bytes()));
    code
}

fn organisation_check(digits: &[u8]) -> char {
    const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    char::from(b"0123456789X0"[(11 - sum % 11) as usize])
}

fn credit_check(code: &[u8]) -> char {
    let (mut sum, mut weight) = (0, 1);
    for character in code {
        let value = ALPHABET.iter().position(|known| known == character).unwrap_or(0);
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    char::from(ALPHABET[(31 - sum % 31) % 31])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_credit_code_has_the_right_check_characters() {
        assert_eq!(credit_check(b"9144030071526726X"), 'G');
        assert_eq!(organisation_check(b"71526726"), 'X');
    }

    #[test]
    fn made_codes_have_eighteen_characters_of_the_alphabet() {
        for number in 0..500 {
            let code = credit_code("91", "510104", number);
            assert_eq!(code.len(), 18);
            assert!(code.bytes().all(|byte| ALPHABET.contains(&byte)), "{code}");
        }
    }
}
