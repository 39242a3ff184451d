//! Limits on redeeming and on refunds: which of them a voucher meets at a till, who keeps count of each, and how much of one is left.
//!
//! A limit that names the person is kept in the person's record, one that names merchant, store or terminal on the merchant's slot,
//! and one for each payment needs no keeping. What spans persons and merchants is a quota: a counter of its own on an index slot.
//! A voucher that is one per category brings a limit of its own.

use std::sync::LazyLock;

use serde_json::Value;

use crate::domain::campaign::schema::{
    Campaign, IdentityKey, Limit, LimitAction, LimitEntity, LimitMax, Period, Reservation, VoucherKind,
};
use crate::domain::cashier;
use crate::domain::money::Fen;
use crate::domain::order::{LimitEntityKey, digest_of};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Zone};
use crate::domain::told;

/// Where something is bought, as limits count it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    pub merchant: LimitEntityKey,
    pub store: String,
    /// The terminal of the till's key, or the one that the key of a merchant or platform names; empty where it names none.
    pub terminal: String,
    pub category: String,
}

/// Who counts what is used of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    Person,
    Merchant,
    /// A counter of its own, on a slot that its name chooses.
    Quota,
    /// Nobody: it is judged within one payment.
    Payment,
}

/// What the entry with which a pack was won names besides the person: eight bytes of HMAC for phone, device and account; 0 = not asked for.
pub type Contacts = [u64; 3];

/// The digests of an entry, which stand in the order of its reservation, by what they are.
pub fn contacts(campaign: &Campaign, round: u8, digests: [u64; 3]) -> Contacts {
    let mut contacts = [0; 3];
    let round = campaign.rounds.get(usize::from(round));
    let keys = round.and_then(|round| campaign.reservation_of(round)).into_iter().flat_map(Reservation::more_keys);
    for (key, digest) in keys.zip(digests) {
        let place = match key {
            IdentityKey::Phone => 0,
            IdentityKey::Device => 1,
            IdentityKey::Account => 2,
            IdentityKey::Person => continue,
        };
        contacts[place] = digest;
    }
    contacts
}

/// A limit on redemption and how much of it is used in its current period.
#[derive(Clone, Debug)]
pub struct LimitFact<'a> {
    pub limit: &'a Limit,
    /// The campaign's limits come first, then those of its rounds in the order of the file.
    pub number: u8,
    pub keeper: Keeper,
    /// Short digest of the entities other than the person.
    pub entity: LimitEntityKey,
    pub period: i64,
    pub count: i64,
    pub amount: Fen,
}

impl LimitFact<'_> {
    /// Whether `count` more vouchers over `amount` still fit.
    pub fn admits(&self, count: i64, amount: Fen) -> bool {
        match self.limit.max {
            LimitMax::Count(max) => self.count + count <= i64::from(max),
            LimitMax::Amount(max) => self.amount + amount <= max,
        }
    }

    /// Whether both count the same uses; limits of two campaigns never do.
    pub fn same(&self, other: &LimitFact) -> bool {
        (self.number, self.entity, self.period) == (other.number, other.entity, other.period)
    }

    pub fn reached(&self) -> Refusal {
        let limit = serde_json::to_value(self.limit).unwrap_or(Value::Null);
        let refusal = told::limit(Refusal::new(Code::LimitReached).with("limit", limit), self.limit);
        if self.limit.action == LimitAction::Refund { refusal.to_cashier(cashier::no_more_refunds()) } else { refusal }
    }
}

/// A pack of which a voucher is taken.
#[derive(Clone, Copy, Debug)]
pub struct OfPack {
    pub round: u8,
    pub channel: u8,
    pub pack: u8,
    pub contacts: Contacts,
}

/// What `one_per_category` means: of such vouchers a person uses one in each category, whatever the campaign's limits say.
static ONE_PER_CATEGORY: LazyLock<Limit> = LazyLock::new(|| Limit {
    action: LimitAction::Redeem,
    entities: vec![LimitEntity::Person, LimitEntity::Category],
    period: Period::Campaign,
    max: LimitMax::Count(1),
});

/// What `unique_serial` means within one payment: two vouchers do not pay for the same piece.
static ONE_PER_PIECE: LazyLock<Limit> = LazyLock::new(|| Limit {
    action: LimitAction::Redeem,
    entities: Vec::new(),
    period: Period::Payment,
    max: LimitMax::Count(1),
});

/// Behind the numbers of all limits that a file can have.
const NUMBER_OF_KINDS: u8 = u8::MAX;

/// The limit that a kind of voucher brings with it, nothing used so far.
pub fn fact_of_kind(kind: &VoucherKind, place: &Place) -> Option<LimitFact<'static>> {
    let limit = kind.is_one_per_category().then(|| &*ONE_PER_CATEGORY)?;
    Some(LimitFact {
        limit,
        number: NUMBER_OF_KINDS,
        keeper: Keeper::Person,
        entity: digest_of(&["one".to_owned(), "category".to_owned(), place.category.clone()]),
        period: 0,
        count: 0,
        amount: Fen::ZERO,
    })
}

/// The limit that a voucher with unique serial numbers brings for one of its pieces.
pub fn fact_of_piece(serial: &str) -> LimitFact<'static> {
    LimitFact {
        limit: &ONE_PER_PIECE,
        number: NUMBER_OF_KINDS,
        keeper: Keeper::Payment,
        entity: digest_of(&["one".to_owned(), "piece".to_owned(), serial.to_owned()]),
        period: 0,
        count: 0,
        amount: Fen::ZERO,
    }
}

/// The limits on redeeming that hold for the n-th voucher of a pack, with what its kind brings.
pub fn facts_of_voucher<'a>(
    campaign: &'a Campaign,
    zone: &Zone,
    (of, unit): (OfPack, u8),
    place: &Place,
    at: Ms,
) -> Vec<LimitFact<'a>> {
    let mut all = facts(campaign, zone, of, place, at);
    let kind = campaign.packs.get(usize::from(of.pack)).and_then(|pack| pack.kind_of(unit));
    all.extend(kind.and_then(|kind| fact_of_kind(kind, place)));
    all
}

/// The limits on redeeming that hold for every voucher of this pack, nothing used so far.
pub fn facts<'a>(campaign: &'a Campaign, zone: &Zone, of: OfPack, place: &Place, at: Ms) -> Vec<LimitFact<'a>> {
    facts_on(LimitAction::Redeem, campaign, zone, of, place, at)
}

/// The limits on redeeming or on refunds.
pub fn facts_on<'a>(
    action: LimitAction,
    campaign: &'a Campaign,
    zone: &Zone,
    of: OfPack,
    place: &Place,
    at: Ms,
) -> Vec<LimitFact<'a>> {
    let Some(round) = campaign.rounds.get(usize::from(of.round)) else { return Vec::new() };
    let before: usize = campaign.rounds[..usize::from(of.round)].iter().map(|round| round.limits.len()).sum();
    let own = round.limits.iter().enumerate().map(|(index, limit)| (campaign.limits.len() + before + index, limit));
    let on_action = campaign.limits.iter().enumerate().chain(own).filter(|(_, limit)| limit.action == action);
    let facts = on_action.map(|(number, limit)| LimitFact {
        limit,
        number: number as u8,
        keeper: keeper(limit),
        entity: entity(limit, of, place),
        period: period_number(limit, zone, at),
        count: 0,
        amount: Fen::ZERO,
    });
    facts.collect()
}

pub fn keeper(limit: &Limit) -> Keeper {
    use LimitEntity::{Merchant, Person, Store, Terminal};
    let names = |entities: &[LimitEntity]| limit.entities.iter().any(|entity| entities.contains(entity));
    match limit.period {
        Period::Payment => Keeper::Payment,
        _ if names(&[Person]) => Keeper::Person,
        // A merchant's slot gives back what an order took when the order ends, and a refund is never taken back.
        _ if names(&[Merchant, Store, Terminal]) && limit.action == LimitAction::Redeem => Keeper::Merchant,
        _ => Keeper::Quota,
    }
}

fn at_a_till(campaign: &Campaign) -> impl Iterator<Item = &Limit> {
    let limits = campaign.limits.iter().chain(campaign.rounds.iter().flat_map(|round| &round.limits));
    limits.filter(|limit| matches!(limit.action, LimitAction::Redeem | LimitAction::Refund))
}

/// Whether an order must remember more of its till than usual, so that what it used can be given back later.
pub fn needs_place(campaign: &Campaign) -> bool {
    use LimitEntity::{Category, Terminal};
    if campaign.packs.iter().flat_map(|pack| &pack.vouchers).any(VoucherKind::is_one_per_category) {
        return true;
    }
    at_a_till(campaign).any(|limit| {
        let place = limit.entities.iter().any(|entity| matches!(entity, Category | Terminal));
        match keeper(limit) {
            Keeper::Merchant | Keeper::Quota => true,
            Keeper::Person => place,
            Keeper::Payment => false,
        }
    })
}

/// Whether any of the campaign's limits counts by terminal over more than one payment.
pub fn counts_terminals(campaign: &Campaign) -> bool {
    at_a_till(campaign).any(|one| one.entities.contains(&LimitEntity::Terminal) && keeper(one) != Keeper::Payment)
}

/// Whether any of the campaign's limits on redeeming is kept there: most campaigns have one limit, of the person.
pub fn redeems_within(campaign: &Campaign, kept_by: Keeper) -> bool {
    at_a_till(campaign).any(|limit| limit.action == LimitAction::Redeem && keeper(limit) == kept_by)
}

/// Whether any of the campaign's limits on refunds is a quota.
pub fn refunds_within_quotas(campaign: &Campaign) -> bool {
    at_a_till(campaign).any(|limit| limit.action == LimitAction::Refund && keeper(limit) == Keeper::Quota)
}

/// Whether any of the campaign's limits at the till is a quota.
pub fn has_quotas(campaign: &Campaign) -> bool {
    at_a_till(campaign).any(|limit| keeper(limit) == Keeper::Quota)
}

/// Whether an order must remember with which phone, device and account its vouchers were won.
pub fn needs_contacts(campaign: &Campaign) -> bool {
    use LimitEntity::{Account, Device, Phone};
    let of_contact = |limit: &Limit| limit.entities.iter().any(|one| matches!(one, Account | Device | Phone));
    at_a_till(campaign).any(|limit| of_contact(limit) && keeper(limit) != Keeper::Payment)
}

fn entity(limit: &Limit, of: OfPack, place: &Place) -> LimitEntityKey {
    let mut entities: Vec<LimitEntity> = limit.entities.clone();
    entities.retain(|entity| *entity != LimitEntity::Person);
    entities.sort_unstable();
    let by_round = limit.period == Period::Round;
    match entities.as_slice() {
        [] if !by_round => return LimitEntityKey::default(),
        [LimitEntity::Merchant] if !by_round => return place.merchant,
        _ => {}
    }
    let merchant = hex::encode(place.merchant);
    let contact = |place: usize| format!("{:016x}", of.contacts[place]);
    let mut parts: Vec<String> = vec!["limit".into()];
    for entity in entities {
        match entity {
            LimitEntity::Merchant => parts.extend(["merchant".into(), merchant.clone()]),
            // Numbers of stores and terminals are the merchant's own.
            LimitEntity::Store => parts.extend(["store".into(), merchant.clone(), place.store.clone()]),
            LimitEntity::Terminal => parts.extend(["terminal".into(), merchant.clone(), place.terminal.clone()]),
            LimitEntity::Category => parts.extend(["category".into(), place.category.clone()]),
            LimitEntity::Channel => parts.extend(["channel".into(), of.channel.to_string()]),
            LimitEntity::Pack => parts.extend(["pack".into(), of.pack.to_string()]),
            LimitEntity::Phone => parts.extend(["phone".into(), contact(0)]),
            LimitEntity::Device => parts.extend(["device".into(), contact(1)]),
            LimitEntity::Account => parts.extend(["account".into(), contact(2)]),
            LimitEntity::Person => {}
        }
    }
    // Vouchers of two rounds are used side by side, so a round is no period that ends when the next begins.
    if by_round {
        parts.extend(["round".into(), of.round.to_string()]);
    }
    digest_of(&parts)
}

/// Number of a limit's period at an instant: days since 1970, ISO weeks (1970-01-01 was a Thursday), months, years.
pub fn period_number(limit: &Limit, zone: &Zone, at: Ms) -> i64 {
    let date = || zone.civil_date(at);
    match limit.period {
        Period::Day => zone.day_number(at),
        Period::Week => (zone.day_number(at) + 3).div_euclid(7),
        Period::Month => i64::from(date().year()) * 12 + i64::from(date().month()),
        Period::Year => i64::from(date().year()),
        Period::Payment | Period::Round | Period::Campaign => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(entities: &[LimitEntity], period: Period) -> Limit {
        Limit { action: LimitAction::Redeem, entities: entities.to_vec(), period, max: LimitMax::Count(1) }
    }

    fn place() -> Place {
        Place { merchant: [7; 6], store: "s1".into(), terminal: "t1".into(), category: "catering".into() }
    }

    const OF: OfPack = OfPack { round: 0, channel: 0, pack: 0, contacts: [0; 3] };

    #[test]
    fn every_entity_and_round_counts_apart() {
        use LimitEntity::*;
        let of_place = |entities: &[LimitEntity], place: &Place| entity(&limit(entities, Period::Day), OF, place);
        for (one, changed) in [
            (Merchant, Place { merchant: [8; 6], ..place() }),
            (Store, Place { store: "s2".into(), ..place() }),
            (Store, Place { merchant: [8; 6], ..place() }),
            (Terminal, Place { terminal: "t2".into(), ..place() }),
            (Category, Place { category: "culture".into(), ..place() }),
        ] {
            assert_ne!(of_place(&[Person, one], &place()), of_place(&[Person, one], &changed), "{one:?}");
            assert_eq!(of_place(&[Person], &place()), of_place(&[Person], &changed), "{one:?}");
        }
        let of = |period, of| entity(&limit(&[Person, Channel, Pack], period), of, &place());
        for other in [OfPack { channel: 1, ..OF }, OfPack { pack: 1, ..OF }] {
            assert_ne!(of(Period::Day, OF), of(Period::Day, other));
        }
        let second = OfPack { round: 1, ..OF };
        assert_eq!(of(Period::Campaign, OF), of(Period::Campaign, second));
        assert_ne!(of(Period::Round, OF), of(Period::Round, second));
    }

    #[test]
    fn the_order_of_entities_in_a_file_does_not_matter() {
        use LimitEntity::*;
        let of = |entities: &[LimitEntity]| entity(&limit(entities, Period::Day), OF, &place());
        assert_eq!(of(&[Person, Store, Category]), of(&[Category, Person, Store]));
    }

    #[test]
    fn weeks_begin_on_monday_and_days_months_and_years_at_the_citys_midnight() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let at = |text: &str| crate::domain::time::parse_rfc3339(&format!("{text}+08:00")).unwrap();
        let same = |period, one: &str, other: &str| {
            let number = |text| period_number(&limit(&[LimitEntity::Person], period), &zone, at(text));
            number(one) == number(other)
        };
        assert!(same(Period::Week, "2020-07-20T00:00:00", "2020-07-26T23:59:59"));
        assert!(!same(Period::Week, "2020-07-26T23:59:59", "2020-07-27T00:00:00"));
        assert!(!same(Period::Day, "2020-07-26T23:59:59", "2020-07-27T00:00:00"));
        assert!(!same(Period::Month, "2020-07-31T23:59:59", "2020-08-01T00:00:00"));
        assert!(!same(Period::Month, "2019-07-31T12:00:00", "2020-07-31T12:00:00"));
        assert!(same(Period::Year, "2020-01-01T00:00:00", "2020-12-31T23:59:59"));
        assert!(!same(Period::Year, "2020-12-31T23:59:59", "2021-01-01T00:00:00"));
    }

    #[test]
    fn what_spans_persons_and_merchants_is_a_quota() {
        use LimitEntity::*;
        assert_eq!(keeper(&limit(&[Person, Category, Phone], Period::Day)), Keeper::Person);
        assert_eq!(keeper(&limit(&[Store, Category, Device], Period::Day)), Keeper::Merchant);
        assert_eq!(keeper(&limit(&[Category], Period::Payment)), Keeper::Payment);
        for entities in [vec![Category], vec![Channel, Pack], vec![Phone], vec![Account, Device]] {
            assert_eq!(keeper(&limit(&entities, Period::Day)), Keeper::Quota, "{entities:?}");
        }
        let refund = Limit { action: LimitAction::Refund, ..limit(&[Merchant], Period::Day) };
        assert_eq!(keeper(&refund), Keeper::Quota);
    }

    #[test]
    fn phone_device_and_account_count_apart_whatever_their_order_in_the_file() {
        use crate::domain::campaign::schema::RoundReservation;
        use LimitEntity::*;
        let of = |entities: &[LimitEntity], contacts| {
            entity(&limit(entities, Period::Day), OfPack { contacts, ..OF }, &place())
        };
        for (place, one) in [Phone, Device, Account].into_iter().enumerate() {
            let mut other = [1, 2, 3];
            other[place] = 9;
            assert_ne!(of(&[one], [1, 2, 3]), of(&[one], other), "{one:?}");
            assert_eq!(of(&[Category], [1, 2, 3]), of(&[Category], other), "{one:?}");
        }
        assert_ne!(of(&[Phone], [7, 0, 0]), of(&[Device], [0, 7, 0]));
        let bytes = include_bytes!("../../deploy/campaigns/shanghai-2022.json");
        let mut campaign = crate::domain::campaign::parse(bytes).expect("a campaign").campaign;
        let keys = |campaign: &Campaign| contacts(campaign, 0, [5, 6, 0]);
        let RoundReservation::Own(own) = &mut campaign.rounds[0].reservation else { panic!("its own reservation") };
        own.identity_keys = vec![IdentityKey::Person, IdentityKey::Account, IdentityKey::Phone];
        assert_eq!(keys(&campaign), [6, 0, 5]);
    }
}
