//! Rules of one round: order of its windows, what its mode needs, its release and waves. Supply and assignment are in `check_supply`.

use super::check_terms::*;
use super::findings::Findings;
use super::schema::*;
use crate::domain::beacon;
use crate::domain::time::{DAY, Ms, SECOND, Zone};

/// One round under judgement.
pub struct Case<'a> {
    pub campaign: &'a Campaign,
    pub index: usize,
    pub round: &'a Round,
    /// Pointer of the round.
    pub at: String,
}

pub fn check_round(found: &mut Findings, campaign: &Campaign, index: usize, round: &Round, zone: &Zone) {
    let case = Case { campaign, index, round, at: format!("/rounds/{index}") };
    case.check_own_terms(found, zone);
    case.check_mode(found);
    case.check_reservation_needed(found);
    case.check_order(found);
    case.check_windows(found, zone);
    case.check_release(found);
    case.check_unclaimed(found);
    case.check_supply(found);
    case.check_assignment(found);
    case.check_excluded_winners(found);
    case.check_use(found);
}

impl Case<'_> {
    pub fn at(&self, field: &str) -> String {
        format!("{}/{field}", self.at)
    }

    fn check_own_terms(&self, found: &mut Findings, zone: &Zone) {
        if let RoundReservation::Own(own) = &self.round.reservation {
            check_reservation(found, own, &self.at("reservation"), zone);
        }
        if let Some(eligibility) = &self.round.eligibility {
            check_eligibility(found, eligibility, &self.at("eligibility"));
        }
        if let Some(validity) = &self.round.validity {
            check_validity(found, validity, &self.at("validity"), zone);
        }
        if let Some(rule) = &self.round.use_rule {
            check_use_rule(found, self.campaign, rule, &self.at("use_rule"));
        }
        check_limits(found, &self.round.limits, &self.at("limits"));
    }

    /// Which of draw, window, credit time and list a mode needs or cannot have.
    fn check_mode(&self, found: &mut Findings) {
        let round = self.round;
        let mode = round.mode;
        let drawn = matches!(mode, Mode::Ballot | Mode::Rain);
        let may_lack_window = matches!(mode, Mode::Ballot | Mode::Grant);
        let window = round.opens_at.is_some() || round.closes_at.is_some();
        let word = mode.as_str();
        let mut needs = |field: &str| {
            found.fault(
                self.at(field),
                "needed_by_mode",
                format!("{word} 场次须有 {field}。"),
                format!("A {word} round needs {field}."),
            );
        };
        if drawn && round.draw.is_none() {
            needs("draw");
        }
        if mode == Mode::Grant && round.entries_list.is_none() {
            needs("entries_list");
        }
        if (window || !may_lack_window) && round.opens_at.is_none() {
            needs("opens_at");
        }
        if (window || !may_lack_window) && round.closes_at.is_none() {
            needs("closes_at");
        }
        if !window && may_lack_window && round.credit_at.is_none() {
            needs("credit_at");
        }
        let mut excess = |field: &str, zh: &str, en: &str| {
            found.fault(self.at(field), "not_with_mode", format!("{field} {zh}"), format!("{field} {en}"));
        };
        if !drawn && round.draw.is_some() {
            excess("draw", "只用于 ballot 与 rain。", "belongs to ballot and rain only.");
        }
        if mode == Mode::FirstCome && round.entries_list.is_some() {
            excess("entries_list", "不能用于 first_come。", "cannot be used with first_come.");
        }
        if (window || !may_lack_window) && round.credit_at.is_some() {
            excess("credit_at", "只用于没有领取时段的场次。", "is for rounds without a claim window.");
        }
        if !window && round.release.is_some() {
            excess("release", "须有领取时段。", "needs a claim window.");
        }
    }

    fn reservation_pointer(&self) -> String {
        match self.round.reservation {
            RoundReservation::Campaigns => String::from("/reservation"),
            _ => self.at("reservation"),
        }
    }

    fn check_reservation_needed(&self, found: &mut Findings) {
        let drawn = matches!(self.round.mode, Mode::Ballot | Mode::Rain);
        let unread = self.round.reservation == RoundReservation::Unread;
        if drawn && !unread && self.campaign.reservation_of(self.round).is_none() {
            let id = &self.round.round_id;
            let (zh, en) = (
                format!("场次 {id} 要摇号，须有预约。"),
                format!("Round {id} is drawn among reservations, so it needs one."),
            );
            found.fault(self.reservation_pointer(), "reservation_needed", zh, en);
        }
    }

    /// Reservation closes, then the list, then the draw, then the opening (or credit).
    fn check_order(&self, found: &mut Findings) {
        let reservation = self.campaign.reservation_of(self.round);
        let draw = self.round.draw.as_ref();
        let opening =
            self.round.opens_at.map(|at| (at, "opens_at")).or(self.round.credit_at.map(|at| (at, "credit_at")));
        let mut not_before = |pointer: String, step: &str, earlier: &str| {
            found.fault(
                pointer,
                "wrong_order",
                format!("{step} 不能早于 {earlier}。"),
                format!("{step} must not come before {earlier}."),
            );
        };
        let closes = reservation.map(|terms| terms.closes_at);
        let list = draw.and_then(|draw| draw.close_list_at);
        if let (Some(closes), Some(list)) = (closes, list)
            && list < closes
        {
            not_before(self.at("draw/close_list_at"), "close_list_at", "reservation.closes_at");
        }
        if let (Some(earlier), Some(draw)) = (list.or(closes), draw)
            && draw.at < earlier
        {
            not_before(
                self.at("draw/at"),
                "draw.at",
                if list.is_some() { "close_list_at" } else { "reservation.closes_at" },
            );
        }
        if let (Some(draw), Some((opening, name))) = (draw, opening)
            && opening <= draw.at
        {
            not_before(self.at(name), name, "draw.at");
        }
        if let (Some(closes), None, Some((opening, name))) = (closes, draw, opening)
            && opening < closes
            && self.round.mode != Mode::Grant
        {
            not_before(self.at(name), name, "reservation.closes_at");
        }
        if let Some(until) = reservation.and_then(|terms| terms.withdraw_until)
            && list.or(closes).is_some_and(|list| until > list)
        {
            let pointer = format!("{}/withdraw_until", self.reservation_pointer());
            found.fault(
                pointer,
                "wrong_order",
                "名单关闭后不能再撤回。",
                "Nobody can withdraw after the list has closed.",
            );
        }
        if let (Some(terms), Some((opening, name))) = (reservation, opening)
            && opening - terms.opens_at > 366 * DAY
        {
            found.warn(
                self.at(name),
                "far_apart",
                "距预约开始超过一年，请核对年份。",
                "More than a year after reservation opens: check the year.",
            );
        }
    }

    fn check_windows(&self, found: &mut Findings, zone: &Zone) {
        let round = self.round;
        if let (Some(opens), Some(closes)) = (round.opens_at, round.closes_at) {
            ordered(found, &self.at("closes_at"), opens, closes);
        }
        if let Some(closes) = round.closes_at {
            warn_end(found, &self.at("closes_at"), closes, zone);
        }
        let mut previous = round.closes_at;
        for (i, wave) in round.waves.iter().enumerate() {
            let at = self.at(&format!("waves/{i}"));
            ordered(found, &format!("{at}/closes_at"), wave.opens_at, wave.closes_at);
            warn_end(found, &format!("{at}/closes_at"), wave.closes_at, zone);
            if previous.is_some_and(|previous| wave.opens_at < previous) {
                found.fault(
                    format!("{at}/opens_at"),
                    "wrong_order",
                    "须在上一时段结束之后。",
                    "Must not start before the window before it has closed.",
                );
            }
            previous = Some(wave.closes_at);
        }
        let drand = round
            .draw
            .as_ref()
            .is_some_and(|draw| draw.drand_round.is_some() && !draw.entropy.contains(&Entropy::Drand));
        if drand {
            found.fault(
                self.at("draw/drand_round"),
                "entropy_missing",
                "entropy 中没有 drand。",
                "The entropy does not list drand.",
            );
        }
        self.check_beacon(found);
    }

    /// A beacon proves something only if nobody can know its value while the list can still change.
    fn check_beacon(&self, found: &mut Findings) {
        let Some(draw) = &self.round.draw else { return };
        let reservation = self.campaign.reservation_of(self.round).map(|terms| terms.closes_at);
        let (Some(beacon), Some(list)) = (draw.drand_round, draw.close_list_at.or(reservation)) else { return };
        if beacon::due_at(beacon) < list + beacon::LEAD {
            found.fault(
                self.at("draw/drand_round"),
                "beacon_too_early",
                "该轮信标须在名单关闭至少 60 秒之后。",
                "This beacon must be due at least 60 seconds after the list has closed.",
            );
        }
    }

    fn check_release(&self, found: &mut Findings) {
        let (Some(release), Some(opens), Some(closes)) =
            (&self.round.release, self.round.opens_at, self.round.closes_at)
        else {
            return;
        };
        // Of a window that ends before it begins nothing can be said but that.
        if closes <= opens {
            return;
        }
        let length = closes - opens;
        let lasts = Ms::from(release.seconds) * SECOND;
        let rain = self.round.mode == Mode::Rain;
        if rain && lasts * 10 > length * 8 {
            let most = length * 8 / 10 / SECOND;
            found.fault(
                self.at("release/seconds"),
                "release_too_long",
                format!("红包雨须在领取时段的 80 % 内放完，最多 {most} 秒。"),
                format!("A rain must be out by 80 % of its window: at most {most} seconds."),
            );
        } else if lasts > length {
            found.fault(
                self.at("release/seconds"),
                "release_too_long",
                "放券时间长于领取时段。",
                "The release lasts longer than the window.",
            );
        }
        if release.slices.is_some_and(|slices| slices > release.seconds) {
            found.fault(
                self.at("release/slices"),
                "out_of_range",
                "每份至少一秒。",
                "A slice lasts at least a second.",
            );
        }
        self.check_points(found, release);
    }

    fn check_points(&self, found: &mut Findings, release: &Release) {
        for (i, pair) in release.points.windows(2).enumerate() {
            if pair[1].second <= pair[0].second || pair[1].basis_points < pair[0].basis_points {
                found.fault(
                    self.at(&format!("release/points/{}", i + 1)),
                    "not_monotone",
                    "秒须递增，基点不得减少。",
                    "Seconds must rise and basis points must not fall.",
                );
            }
        }
        let Some(last) = release.points.last() else { return };
        if last.basis_points != 10_000 || last.second != release.seconds {
            found.fault(
                self.at(&format!("release/points/{}", release.points.len() - 1)),
                "curve_incomplete",
                format!("最后一点须为 [{}, 10000]。", release.seconds),
                format!("The last point must be [{}, 10000].", release.seconds),
            );
        }
    }

    fn check_unclaimed(&self, found: &mut Findings) {
        let round = self.round;
        let releases = round.unclaimed == Unclaimed::Release;
        let decided_with_window = matches!(round.mode, Mode::Ballot | Mode::Rain) && round.opens_at.is_some();
        if releases && !decided_with_window {
            found.fault(
                self.at("unclaimed"),
                "not_with_mode",
                "release 只用于有领取时段的 ballot 与 rain。",
                "release is for a ballot or rain with a claim window.",
            );
        }
        if releases && round.waves.is_empty() {
            found.fault(
                self.at("waves"),
                "waves_needed",
                "未领的券包要再发，须有后续时段。",
                "Released packs need waves in which they can be claimed.",
            );
        }
        if !releases && !round.waves.is_empty() {
            found.fault(
                self.at("waves"),
                "not_with_unclaimed",
                "waves 须与 unclaimed: release 同用。",
                "waves belong to unclaimed: release.",
            );
        }
        if releases && round.lost_at == LostAt::FirstTap {
            found.fault(
                self.at("lost_at"),
                "not_with_unclaimed",
                "未领的券包会再发，首次点击时尚不能说未中。",
                "Packs may still be released, so nobody has lost at the first tap: use close.",
            );
        }
    }

    fn check_excluded_winners(&self, found: &mut Findings) {
        for (i, round_id) in self.round.exclude_winners_of.iter().enumerate() {
            if !self.campaign.rounds[..self.index].iter().any(|earlier| earlier.round_id == *round_id) {
                found.fault(
                    self.at(&format!("exclude_winners_of/{i}")),
                    "not_an_earlier_round",
                    format!("{round_id} 不是更早的场次。"),
                    format!("{round_id} is not an earlier round."),
                );
            }
        }
    }

    /// Every voucher needs a use rule and a validity from somewhere, and must not expire before it can be had.
    fn check_use(&self, found: &mut Findings) {
        let (campaign, round) = (self.campaign, self.round);
        if round.use_rule.is_none() && campaign.use_rule.is_none() {
            found.fault(
                "/use_rule",
                "missing",
                "活动或每个场次须有 use_rule。",
                "The campaign, or every round, needs a use_rule.",
            );
        }
        let first = round.credit_at.or(round.opens_at);
        let last = round.waves.last().map(|wave| wave.closes_at).or(round.closes_at).or(round.credit_at);
        for (_, pack) in round.supply.pack_ids().filter_map(|pack_id| campaign.pack(pack_id)) {
            for kind in &pack.vouchers {
                let Some(validity) = campaign.validity_of(round, kind) else {
                    found.fault(
                        "/validity",
                        "missing",
                        "每种券须有有效期。",
                        "Every voucher needs a validity from somewhere.",
                    );
                    continue;
                };
                let end = validity.available_end_time;
                let wait = Ms::from(validity.wait_days_after_receive) * DAY;
                if end.zip(first).is_some_and(|(end, first)| end <= first + wait) {
                    let (zh, en) = ("券在可用之前已过期。", "The vouchers expire before anybody can use them.");
                    found.fault(self.validity_pointer(kind, pack), "expired_before_issue", zh, en);
                } else if end.zip(last).is_some_and(|(end, last)| end < last) {
                    let (zh, en) = ("晚领的券领到时已过期。", "Vouchers claimed late are expired on arrival.");
                    found.warn(self.validity_pointer(kind, pack), "expired_on_arrival", zh, en);
                }
            }
        }
    }

    fn validity_pointer(&self, kind: &VoucherKind, pack: &Pack) -> String {
        let end = "validity/available_end_time";
        if kind.validity.is_some() {
            let pack_index = self.campaign.pack(&pack.pack_id).map_or(0, |(index, _)| index);
            let kind_index =
                pack.vouchers.iter().position(|other| other.voucher_kind == kind.voucher_kind).unwrap_or(0);
            return format!("/packs/{pack_index}/vouchers/{kind_index}/{end}");
        }
        if self.round.validity.is_some() { self.at(end) } else { format!("/{end}") }
    }
}
