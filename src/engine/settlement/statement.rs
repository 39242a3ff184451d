//! Settlement as the office asks for it: one day of its program's campaigns, by merchant.

use std::collections::HashMap;

use super::Books;
use crate::domain::funding::Sources;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::settlement::{Day, day_number};
use crate::domain::time::{DAY, HOUR, Zone};
use crate::domain::voucher::VoucherRef;
use crate::engine::Engine;
use crate::engine::key::ApiKey;
use crate::engine::settlement;

impl Engine {
    /// The statements of a date (`YYYY-MM-DD` in each campaign's city); with `merchant_id` only that merchant's.
    pub async fn settlement_day(&self, key: &ApiKey, date: &str, merchant_id: Option<&str>) -> Result<Day, Refusal> {
        let number = day_number(date).ok_or_else(|| {
            let refusal = Refusal::new(Code::InvalidRequest);
            let (zh, en) = (
                format!("“{date}”不是日期，应为存在的一天，写作 YYYY-MM-DD。"),
                format!("{date:?} is not a day that there is, written YYYY-MM-DD."),
            );
            refusal.field("/date", "invalid_date", zh, en)
        })?;
        if let Some(merchant_id) = merchant_id {
            self.own_merchant(key, merchant_id).await?;
        }
        let view = self.view();
        if view.unreadable.values().any(|unreadable| unreadable.may_count_for(&key.program)) {
            let refusal = Refusal::new(Code::StoreUnavailable);
            return Err(refusal.detail(
                "有活动的记录无法读取，结算会缺少它的明细。",
                "The record of a campaign cannot be read; its lines would be missing.",
            ));
        }
        let own = view.by_number.iter().filter(|(_, campaign)| campaign.record.program == key.program);
        let zones: HashMap<u16, Zone> = own.map(|(number, campaign)| (*number, campaign.zone.clone())).collect();
        let ids = &self.keys.voucher;
        let names = |voucher: &VoucherRef, pack: u8| {
            let campaign = view.by_number.get(&voucher.c);
            // A campaign of one pack needs no look at which one was credited.
            let pack = campaign.filter(|campaign| campaign.units.len() == 1).map_or(pack, |_| 0);
            let unit = campaign.and_then(|campaign| campaign.units.get(usize::from(pack))?.get(usize::from(voucher.u)));
            let campaign_id = campaign.map(|campaign| campaign.id.clone()).unwrap_or_default();
            [ids.id(voucher), unit.map(|unit| unit.voucher_kind.clone()).unwrap_or_default(), campaign_id]
        };
        let funded = view
            .by_number
            .iter()
            .filter(|(number, campaign)| zones.contains_key(*number) && !campaign.campaign.funding.is_empty());
        let sources = funded.map(|(number, campaign)| {
            let (campaign_id, funding) = (campaign.id.clone(), campaign.campaign.funding.clone());
            (*number, Sources { campaign_id, funding })
        });
        let day = settlement::open_day(date).funded_by(sources.collect());
        let mut books = Books::new(day, number, &zones, &names, merchant_id);
        // No zone is further than 14 hours from UTC. Which of several packs a voucher is from stands in earlier lines.
        let one_pack = view.by_number.values().all(|campaign| campaign.units.len() == 1);
        let from = one_pack.then_some((number * DAY).saturating_sub(15 * HOUR));
        settlement::read(&mut books, &self.store, from, (number + 1) * DAY + 15 * HOUR).await?;
        Ok(books.close())
    }
}
