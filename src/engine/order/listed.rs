//! Lists of merchants that rules of use name. A campaign has pinned the version of each, so what is read here never changes.

use super::plan::PersonAt;
use crate::domain::campaign::terms::UseRule;
use crate::domain::refusal::Refusal;
use crate::engine::Engine;
use crate::store::list::ListKind;

/// The lists that a merchant is not on, by the number of their campaign.
#[derive(Default)]
pub(super) struct Unlisted(Vec<(u16, String)>);

impl Unlisted {
    /// The list of these rules of a campaign that does not have the merchant, if there is one.
    pub(super) fn of<'a>(&self, campaign: u16, rules: &[&'a UseRule]) -> Option<&'a str> {
        let mut lists = rules.iter().filter_map(|rule| rule.merchants_list.as_deref());
        lists.find(|list| self.0.iter().any(|(c, id)| *c == campaign && id == list))
    }
}

impl Engine {
    pub(super) async fn unlisted(&self, people: &[PersonAt], merchant_id: &str) -> Result<Unlisted, Refusal> {
        let mut unlisted = Unlisted::default();
        for view in people.iter().map(|person| &person.view) {
            for (list_id, list) in view.record.lists.iter().filter(|(_, list)| list.kind == ListKind::Merchants) {
                if !self.list_has_merchant(list, merchant_id).await? {
                    unlisted.0.push((view.number, list_id.clone()));
                }
            }
        }
        Ok(unlisted)
    }
}
