//! The one refusal table. A row is a code, its HTTP status, whether a retry can change the answer, and what the reader should do.
//!
//! Rows stand in order of precedence: when two refusals apply, the one listed first is given. Till codes also carry one sentence
//! for the cashier, shown as it is.

mod common;

use serde_json::{Map, Value};

use crate::domain::cashier::Words;
use crate::domain::told;

/// What a caller may assume about the effect it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    NotApplied,
    Applied,
    /// The store did not answer in time: the effect may or may not have happened; repeat with the same ids.
    Unknown,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NotApplied => "not_applied",
            Outcome::Applied => "applied",
            Outcome::Unknown => "unknown",
        }
    }
}

/// A fault in one field of a request or campaign file.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// RFC 6901 pointer into the body.
    pub pointer: String,
    pub code: &'static str,
    pub zh: String,
    pub en: String,
}

impl FieldError {
    fn placed(&self, words: &str, colon: &str) -> String {
        if self.pointer.is_empty() { words.to_owned() } else { format!("{}{colon}{words}", self.pointer) }
    }
}

/// A normal, expected "no": it names what the reader needs to do something about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub code: Code,
    pub outcome: Outcome,
    /// What is to be said of this very case.
    pub detail: Option<Box<Words>>,
    /// Members such as `missing_amount`, `limit`, `until`, `fields`, `server_time`.
    pub extra: Map<String, Value>,
    pub errors: Vec<FieldError>,
    pub retry_after_ms: Option<u64>,
    /// Waiting does not help in this case, though it may help with the code.
    pub for_good: bool,
    /// What the cashier reads where the case says more than its code.
    pub cashier: Option<Box<Words>>,
}

impl Refusal {
    pub fn new(code: Code) -> Refusal {
        let outcome = if code == Code::StoreTimeout { Outcome::Unknown } else { Outcome::NotApplied };
        Refusal {
            code,
            outcome,
            detail: None,
            extra: Map::new(),
            errors: Vec::new(),
            retry_after_ms: None,
            for_good: false,
            cashier: None,
        }
    }

    /// What is to be said of this very case: both languages say the same facts.
    pub fn detail(mut self, zh: impl Into<String>, en: impl Into<String>) -> Refusal {
        self.detail = Some(Box::new(Words { zh: zh.into(), en: en.into() }));
        self
    }

    /// The case in words: as whoever refused says it, or else the place of the first fault, or else what the code means.
    pub fn told(&self) -> Words {
        let (zh, en) = self.code.message();
        match (self.detail.as_deref(), self.errors.as_slice()) {
            (Some(words), _) => words.clone(),
            (None, []) => told::by_members(self).unwrap_or_else(|| Words { zh: zh.to_owned(), en: en.to_owned() }),
            (None, [fault]) => Words { zh: fault.placed(&fault.zh, "："), en: fault.placed(&fault.en, ": ") },
            (None, [first, more @ ..]) => Words {
                zh: format!("{}另有{}处，见 errors。", first.placed(&first.zh, "："), more.len()),
                en: format!("{} {} more in errors.", first.placed(&first.en, ": "), more.len()),
            },
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Refusal {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    pub fn field(
        mut self,
        pointer: impl Into<String>,
        code: &'static str,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> Refusal {
        self.errors.push(FieldError { pointer: pointer.into(), code, zh: zh.into(), en: en.into() });
        self
    }

    pub fn to_cashier(mut self, words: Words) -> Refusal {
        self.cashier = Some(Box::new(words));
        self
    }

    /// What the cashier reads, unless it is a fault that no cashier can know of.
    pub fn words(&self) -> Option<Words> {
        let of_code = || self.code.pos_message().map(|(zh, en)| Words { zh: zh.to_owned(), en: en.to_owned() });
        self.cashier.as_deref().cloned().or_else(of_code)
    }

    pub fn retry_after_ms(mut self, milliseconds: u64) -> Refusal {
        self.retry_after_ms = Some(milliseconds);
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        Refusal::new(code)
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:literal $retryable:literal $zh:literal $en:literal $(pos $pos_zh:literal $pos_en:literal)?;)*) => {
        /// Every code that an answer can carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// All codes in order of precedence.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }

            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status),* }
            }

            /// Whether the same request may be answered otherwise later.
            pub fn retryable(self) -> bool {
                match self { $(Code::$name => $retryable),* }
            }

            /// What happened and what to do, in Chinese and English.
            pub fn message(self) -> (&'static str, &'static str) {
                match self { $(Code::$name => ($zh, $en)),* }
            }

            /// One sentence for the cashier, shown as it is.
            pub fn pos_message(self) -> Option<(&'static str, &'static str)> {
                match self { $(Code::$name => refusals!(@pos $($pos_zh $pos_en)?)),* }
            }

            /// The code that a script or a stored answer names.
            pub fn named(text: &str) -> Option<Code> {
                match text { $($text => Some(Code::$name),)* _ => None }
            }
        }
    };
    (@pos) => { None };
    (@pos $zh:literal $en:literal) => { Some(($zh, $en)) };
}

refusals! {
    // The request itself.
    MalformedRequest "malformed_request" 400 false "请求头不是有效的 HTTP，无法读取。" "The head of the request is not valid HTTP and could not be read.";
    HeadTooLarge "head_too_large" 431 false "请求头过长，请精简后重发。" "The head of the request is too long; send less.";
    HeadTimeout "head_timeout" 408 true "请求头未在期限内送达，请重发。" "The head of the request did not arrive in time; send it again.";
    BodyTooLarge "body_too_large" 413 false "请求体过大，请减小。" "The body is too large; send less.";
    BodyTimeout "body_timeout" 408 true "请求体未在期限内送达，请重发。" "The body did not arrive in time; send it again.";
    UnsupportedMediaType "unsupported_media_type" 415 false "该地址不接受此 Content-Type 或压缩的请求体，可用的见 accept。" "The route does not take this Content-Type, or a compressed body; see accept for what it takes.";
    NotAcceptable "not_acceptable" 406 false "不支持所要求的格式。" "The asked format is not offered.";
    MalformedJson "malformed_json" 400 false "请求体不是有效的 JSON。" "The body is not valid JSON.";
    InvalidRequest "invalid_request" 422 false "请求内容有误，见 errors。" "The request has faults; see errors.";
    RouteNotFound "route_not_found" 404 false "没有这个地址，见 /openapi.json。" "There is no such route; see /openapi.json.";
    MethodNotAllowed "method_not_allowed" 405 false "该地址不支持此方法。" "The route does not take this method.";
    DeadlineExceeded "deadline_exceeded" 503 true "处理超时，结果未知，请用相同编号重试。" "The request ran out of time and the outcome is not known: repeat it with the same ids.";
    Internal "internal" 500 true "内部错误，请凭 request_id 联系我们。" "An internal fault; quote the request_id.";

    // Who are you, may you.
    Unauthenticated "unauthenticated" 401 false "缺少身份凭证，或凭证不被承认。" "Credentials are missing or not known.";
    TokenInvalid "token_invalid" 401 false "令牌或通行证无效，请重新获取。" "The token or pass is not valid; get a new one.";
    TokenExpired "token_expired" 401 false "令牌或通行证已过期，请重新获取。" "The token or pass has expired; get a new one.";
    SignatureInvalid "signature_invalid" 401 false "签名与收到的请求不符；可能的原因见 may_be 或 detail，收到的内容见 received。" "The signature does not match the request; see may_be or detail for what it may be, and received for what arrived."
        pos "收银系统签名错误，请联系系统商。" "This till is not set up correctly: call the POS vendor.";
    KeyRevoked "key_revoked" 401 false "密钥已停用，请使用该终端现行的密钥。" "The key is revoked; use the terminal's current key."
        pos "本机密钥已停用，请联系系统商。" "This till's key was revoked: call the POS vendor.";
    TimestampOutOfRange "timestamp_out_of_range" 401 true "时间戳与服务器相差超过 300 秒，请按 server_time 校时后重新签名。" "The timestamp is more than 300 s off; set the clock by server_time and sign again."
        pos "收银机时间不准，请校时后重试。" "The till's clock is wrong: set it and try again.";
    Forbidden "forbidden" 403 false "该身份无权执行此操作。" "This caller may not do this.";
    FourEyes "four_eyes_required" 403 false "起草、提交与审批不能是同一人，须由另一人审批。" "Whoever wrote, submitted or proposed it cannot approve it: another person has to.";
    RateLimited "rate_limited" 429 true "请求过于频繁，请按 Retry-After 等待。" "Too many requests; wait as Retry-After says."
        pos "操作过于频繁，请稍后再试。" "Too many requests: wait a moment and try again.";
    NotFound "not_found" 404 false "不存在，或不属于您；见 what 与 id。" "It does not exist, or it is not yours; see what and id.";

    // Configuration.
    PreconditionRequired "precondition_required" 428 false "请携带 If-Match 或 If-None-Match: *。" "Send If-None-Match: * to create or If-Match to replace.";
    PreconditionFailed "precondition_failed" 412 false "对象已被他人修改（现行版本见 current），请重新读取。" "It was changed since you read it (see current for its version); read it again.";
    CampaignInvalid "campaign_invalid" 422 false "活动配置有误，见 errors。" "The campaign file has faults; see errors.";
    NotSupportedYet "not_supported_yet" 422 false "本版本尚不能执行所列配置，见 errors。" "This version cannot execute what errors lists.";
    CampaignStateRefuses "campaign_state_refuses" 409 false "活动当前状态不允许此操作，见 state。" "The campaign's state does not allow this; see state.";
    CampaignIdTaken "campaign_id_taken" 409 false "其他项目已用该 campaign_id 发布活动，请另取一个。" "Another program has published a campaign with this campaign_id; choose another one.";
    AmendmentConflict "amendment_conflict" 409 false "该修订编号已用于其他内容。" "The amendment_id was used with another reason or other changes.";
    AmendmentStale "amendment_stale" 409 false "current 与现行文件不符，见 errors；请按现行内容重新提出修订。" "The file no longer says what current says; see errors, and propose the change anew.";
    AmendmentNotAdditive "amendment_not_additive" 422 false "发布后只能放宽，见 errors。" "A published campaign can only give more; see errors.";
    AmendmentTooLate "amendment_too_late" 409 false "相关场次已定，不能再改，见 errors。" "What errors names has been decided and stays as it is.";
    TooManyAmendments "too_many_amendments" 409 false "修订次数已达上限。" "The campaign has as many amendments as it can have.";
    SandboxOnly "sandbox_only" 404 false "仅沙箱可用。" "Only a sandbox has this.";
    ClockBackwards "clock_backwards" 409 false "活动时钟只能前进。" "The campaign clock only goes forward.";

    // Everything that runs.
    CampaignNotRunning "campaign_not_running" 409 true "活动暂停或未运行。" "The campaign is paused or does not run now."
        pos "活动已暂停，暂不能用券。" "The campaign is paused: vouchers cannot be used now.";
    RoundNotFound "round_not_found" 404 false "没有这个场次，现有场次见 rounds。" "There is no such round; see rounds for those that there are.";
    RoundNotClosed "round_not_closed" 409 true "场次结束后才公布。" "This is published when the round has closed.";
    /// For good: the round's mode has neither list nor draw.
    RoundHasNoDraw "round_has_no_draw" 404 false "该场次不摇号，没有名单、中签名单和摇号结果；公布的内容见 published。" "This round is not drawn: it has no list, no winners and no draw; see published for what it publishes.";
    /// For good: winners are credited by themselves.
    RoundHasNoTap "round_has_no_tap" 404 false "本场次不设抢券，中签者的券自动到账；结果请查询 claims/mine。" "This round has no tap: its winners are credited by themselves. Ask claims/mine for the result.";
    /// For good: nobody reserves for it.
    RoundHasNoReservation "round_has_no_reservation" 404 false "没有可预约的场次。" "There is nothing to reserve for.";
    EntropyConflict "entropy_conflict" 409 false "该公开随机数已录入且不同。" "Another public value was entered for this draw; the first one stays.";
    ListNotClosed "list_not_closed" 409 true "名单尚未截止。" "The list has not closed yet.";

    // Reserve.
    RoundRequired "round_required" 422 false "有多个场次开放，请指明 round_id。" "Several lists are open; name the round_id.";
    ReservationNotOpen "reservation_not_open" 409 true "预约尚未开始，见 opens_at。" "The reservation window has not opened; see opens_at.";
    ReservationClosed "reservation_closed" 409 false "预约已截止。" "The reservation window has closed.";
    NotYourDay "not_your_day" 409 true "今天不是您的预约日，见 days。" "Another day of the reservation is yours; see days.";
    ConsentRequired "consent_required" 422 false "须同意当前版本的授权书，见 consent_version。" "Consent to the current version is needed; see consent_version.";
    DocumentInvalid "document_invalid" 422 false "证件号码有误。" "The document number is not valid.";
    NotEligible "not_eligible" 403 false "不符合参加条件，见 reasons。" "Not eligible; see reasons.";
    AlreadyReserved "already_reserved" 409 false "已有预约且选择不同；可用 PUT 修改。" "A reservation with another choice exists; change it with PUT.";
    IdentityInUse "identity_in_use" 409 false "名单上已有他人使用同一手机号、设备或账号，见 identity_key。" "Another person is on the list with the same phone, device or account; see identity_key.";
    ReservationFull "reservation_full" 409 false "预约名额已满。" "The list is full.";
    ReservationNotFound "reservation_not_found" 404 false "没有您的预约。" "You have no reservation here.";
    WithdrawalClosed "withdrawal_closed" 409 false "已过撤回期限。" "The time for withdrawal is over.";

    // Claim.
    PassNotOpen "pass_not_open" 409 true "通行证尚未开始领取，见 opens_at。" "Passes are given out from opens_at on.";
    RoundClosed "round_closed" 409 false "场次已结束。" "The round has closed.";
    PackChoiceRequired "pack_choice_required" 422 false "请指明 pack_id。" "Name the pack_id.";
    RoundNotDrawn "round_not_drawn" 409 true "尚未摇号。" "The round has not been drawn yet.";

    // Till, in order of precedence.
    OrderReversed "order_reversed" 409 false "订单已冲正，不可再用；如需重新下单请换订单号。" "The order was reversed for good; a new order needs a new order_id."
        pos "该订单已冲正，重新下单请换订单号。" "This order was cancelled for good: a new one needs a new number.";
    OrderConflict "order_conflict" 409 false "与该订单原来的内容不同，见 fields。" "This is not what the order was made with; see fields."
        pos "订单号重复且内容不同，请重新下单。" "This order number was used for something else: start a new order.";
    OrderNotFound "order_not_found" 404 false "没有这个订单，目前没有任何扣减；冲正后即成定局。" "No such order: nothing was applied so far. Reverse makes that final."
        pos "没有该订单。" "There is no such order.";
    OrderCancelled "order_cancelled" 409 false "订单已取消；如需重新下单请换订单号。" "The order was cancelled; a new order needs a new order_id."
        pos "该订单已取消，重新下单请换订单号。" "This order was cancelled: a new one needs a new number.";
    OrderAlreadyRedeemed "order_already_redeemed" 409 false "订单已核销，请用冲正或退款。" "The order is redeemed; reverse or refund it."
        pos "该订单已用券，请走退款。" "The vouchers were used already: make a refund.";
    OrderNotRedeemed "order_not_redeemed" 409 false "订单未核销，无可退；请取消或冲正。" "The order is not redeemed, so nothing can be refunded; cancel or reverse it."
        pos "该订单未用券，请取消订单。" "No voucher was used on this order: cancel it instead.";
    OrderHasRefunds "order_has_refunds" 409 false "订单已有退款，不能冲正，只能继续退款。" "The order has refunds and cannot be reversed; it can only be refunded further."
        pos "该订单已有退款，不能冲正。" "The order has refunds and cannot be cancelled.";
    HoldExpired "hold_expired" 409 false "锁定已失效；已收款的请退还顾客，重新下单请换订单号。" "The hold has run out; give back what was paid, if anything, and start again with a new order_id."
        pos "用券超时，请重新下单。" "The voucher hold ran out: start a new order.";
    PaidAmountMismatch "paid_amount_mismatch" 422 false "paid_amount 与应收金额不符，见 payable。" "paid_amount is not what the hold says; see payable."
        pos "实付金额不符。" "The paid amount is not the amount due.";
    MerchantFrozen "merchant_frozen" 403 false "商户已被冻结，请联系主管部门。" "The merchant is frozen; ask the program office."
        pos "本店已被暂停用券，请联系主管部门。" "This shop may not take vouchers now: call the program office.";
    MerchantNotEnrolled "merchant_not_enrolled" 403 false "商户未加入该活动。" "The merchant is not enrolled in the campaign."
        pos "本店未参加该活动。" "This shop does not take part in the campaign.";
    StoreUnknown "store_unknown" 422 false "门店不是该商户登记的门店，见 stores。" "The store is not one of the merchant's; see stores, or leave it out."
        pos "门店编号有误，请联系系统商。" "This till names a store that is not known: call the POS vendor.";
    TerminalUnknown "terminal_unknown" 422 false "终端未在该商户登记，或已停用，见 state。" "The terminal is not one of the merchant's, or was revoked; see state."
        pos "终端编号有误，请联系系统商。" "This till names a terminal that is not known: call the POS vendor.";
    CategoryNotAllowed "category_not_allowed" 422 false "该品类不能用券（见 allowed），或商户行业不属该品类（见 allowed_codes）。" "The category is not one of the campaign's (see allowed), or the merchant's industry not one of the category's (see allowed_codes)."
        pos "该品类商品不能用券。" "Vouchers cannot be used for this kind of goods.";
    DistrictNotAllowed "district_not_allowed" 422 false "商户经营地不在活动区域内，可用区域见 allowed。" "The merchant operates outside the campaign's districts; see allowed."
        pos "本店所在区域不能用券。" "Vouchers cannot be used in this district.";
    ChannelNotAllowed "channel_not_allowed" 422 false "该券不能在此渠道使用，可用渠道见 allowed。" "The voucher is not for use through this channel; see allowed."
        pos "请顾客打开该券可用平台的付款码。" "Ask the customer for the code of an app that the voucher is for.";
    OutsideArea "outside_area" 422 false "须在活动区域 area_id 内开启定位并重新出示付款码。" "The voucher is for use inside area_id: show a new pay code there, with location on."
        pos "请顾客开启定位，在活动区域内重新出示付款码。" "Ask the customer to turn location on and show a new code inside the area.";
    SceneNotAllowed "scene_not_allowed" 422 false "该券不用于此消费场景，或未注明 scene；见 allowed。" "The voucher is not for this scene, or the call names no scene; see allowed."
        pos "该消费方式不能用券。" "Vouchers cannot be used for this kind of sale.";
    OutsideHours "outside_hours" 409 true "不在可用时段，见 hours 或 dates_excluded。" "The vouchers cannot be used at this hour or on this day; see hours or dates_excluded."
        pos "现在不是用券时段。" "Vouchers cannot be used at this hour.";
    NotCombinable "not_combinable" 422 false "该券不能与 not_with 所指的同享。" "The voucher does not combine with what not_with says."
        pos "该券不能与店内优惠同享。" "This voucher does not combine with the shop's offer.";
    ItemsRequired "items_required" 422 false "须提供 items 商品明细。" "The voucher needs the items of the receipt; send items."
        pos "须提供商品明细。" "The list of goods is needed for this voucher.";
    ItemsNotEligible "items_not_eligible" 422 false "订单中没有该券适用的商品，见 goods。" "No item of the receipt is one that the voucher is for; see goods."
        pos "订单中没有该券适用的商品。" "None of these goods is one that the voucher is for.";
    SerialRequired "serial_required" 422 false "须提供商品序列号 items[].serial。" "The voucher needs the serial number of what is bought; send it with the item, as items[].serial."
        pos "请扫描商品序列号。" "Scan the serial number of the goods.";
    TooManyVouchers "too_many_vouchers" 422 false "单笔用券数超过上限，见 limit。" "More vouchers than one payment may take; see limit."
        pos "一笔订单用券过多。" "Too many vouchers for one payment.";
    PayCodeUnknown "pay_code_unknown" 404 false "付款码不存在，请换新码。" "The pay code is not known; ask for a fresh one."
        pos "付款码无效，请顾客刷新。" "The code is not valid: ask the customer for a fresh one.";
    PayCodeExpired "pay_code_expired" 409 false "付款码已过期，请换新码。" "The pay code has expired; ask for a fresh one."
        pos "付款码已过期，请顾客刷新。" "The code has expired: ask the customer for a fresh one.";
    PayCodeUsed "pay_code_used" 409 false "付款码已用于另一订单，请换新码。" "The pay code was used for another order; ask for a fresh one."
        pos "付款码已使用，请顾客刷新。" "The code was used: ask the customer for a fresh one.";
    AccountUnknown "account_unknown" 404 false "该账户未关联卡包；由账户本人以 PUT /v1/wallet/account 关联。" "No wallet is linked to the account; its owner links it with PUT /v1/wallet/account."
        pos "顾客未开通自动用券，请出示付款码。" "The customer's account is not linked: ask for the pay code.";
    VoucherUnknown "voucher_unknown" 404 false "券码不存在，请核对有无输错。" "The voucher_id is not known; check it for a typo."
        pos "券码无效。" "The voucher code is not valid.";
    VouchersOfSeveralPersons "vouchers_of_several_persons" 422 false "一笔订单只能用同一人的券。" "One payment takes the vouchers of one person."
        pos "一笔订单只能用同一人的券。" "One payment takes the vouchers of one person.";
    VoucherUsed "voucher_used" 409 false "券已使用。" "The voucher has been used."
        pos "该券已使用。" "This voucher has been used.";
    VoucherRevoked "voucher_revoked" 409 false "券已被主管部门收回。" "The voucher was revoked by the program office."
        pos "该券已被收回。" "This voucher was revoked.";
    VoucherHeld "voucher_held" 409 true "券被另一订单锁定，见 until。" "Another order holds the voucher; see until."
        pos "该券正被另一笔订单占用，请稍后再试。" "Another order holds this voucher: try again in a moment.";
    VoucherNotYetValid "voucher_not_yet_valid" 409 true "券未到可用时间，见 available_begin_time。" "The voucher cannot be used before available_begin_time."
        pos "该券还未到使用时间。" "This voucher cannot be used yet.";
    VoucherLocked "voucher_locked" 409 true "须先使用 after_kind 所指的券。" "A voucher of the kind that after_kind names has to be used first."
        pos "须先使用券包内的另一种券。" "Another voucher of the customer's pack has to be used first.";
    VoucherExpired "voucher_expired" 409 false "券已过期。" "The voucher has expired."
        pos "该券已过期。" "This voucher has expired.";
    SerialUsed "serial_used" 409 false "该商品序列号已用过券，见 serial。" "A voucher was used for this serial number; see serial."
        pos "该商品已享受过补贴。" "A voucher was used for this very product.";
    SerialHeld "serial_held" 409 true "该商品序列号被另一订单锁定，见 serial 与 until。" "Another order holds this serial number; see serial and until."
        pos "该商品正被另一笔订单占用，请稍后再试。" "Another order holds this very product: try again in a moment.";
    MinimumNotMet "minimum_not_met" 422 false "未达到使用门槛，见 missing_amount；只计部分商品的见 goods。" "Below the voucher's minimum; see missing_amount, and goods where only some goods count."
        pos "未达到用券金额。" "The order is below the voucher's minimum.";
    LimitReached "limit_reached" 409 false "已达次数或金额上限，见 limit。" "A limit is reached; see limit."
        pos "已达到用券上限。" "The limit on vouchers is reached.";
    NoVoucherApplicable "no_voucher_applicable" 409 false "没有可用的券，见 not_taken。" "No voucher fits this order; see not_taken."
        pos "没有可用的券。" "No voucher fits this order.";
    RefundConflict "refund_conflict" 409 false "同一退款号金额或商品不同。" "The refund_id was used with another amount or other items."
        pos "退款单号重复且内容不同。" "This refund number was used for something else.";
    ItemsNotKnown "items_not_known" 409 false "订单未附商品明细，请按金额退款。" "The order was sent without items; refund an amount."
        pos "该订单没有商品明细，请按金额退款。" "The order has no list of goods: refund an amount.";
    RefundMannerFixed "refund_manner_fixed" 409 false "须按首次退款的方式 by 继续，或一次退完 refundable_amount。" "Go on by what the first refund was by (see by), or refund the whole refundable_amount."
        pos "请按首次退款的方式退款，或一次退完。" "Go on as with the first refund, or refund all that is left.";
    ItemNotInOrder "item_not_in_order" 422 false "订单中没有该商品，见 sku（及 line 或 serial）。" "The order has no such item; see sku, and line or serial."
        pos "订单中没有该商品。" "This is not one of the goods of the order.";
    LineRequired "line_required" 422 false "该商品在订单中有几行且价格不同，请以 line 或 serial 指明，见 lines。" "The order has the sku on several lines at different prices; name line or serial of what came back, see lines."
        pos "该商品在小票上有几种价格，请选择退的是哪一行。" "The receipt has these goods at different prices: choose the line that came back.";
    ItemExceedsOrder "item_exceeds_order" 422 false "超过该商品可退数量，见 sku 与 quantity_left。" "More of an item than is left; see sku and quantity_left."
        pos "退货数量超过可退数量。" "More of these goods than can be returned.";
    RefundAmountMismatch "refund_amount_mismatch" 422 false "金额与所退商品不符，见 refund_amount。" "amount is not what the items come to; see refund_amount, or leave amount out."
        pos "退款金额与所退商品不符。" "The amount is not what these goods come to.";
    RefundExceedsOrder "refund_exceeds_order" 422 false "退款超过可退金额，见 refundable_amount。" "More than can be refunded; see refundable_amount."
        pos "退款超过可退金额。" "The refund is more than what is left.";
    RefundWindowClosed "refund_window_closed" 409 false "已过 voucher_id 所属活动的退款期限，见 campaign_id 与 until；未用该券的商品仍可按商品退。" "The time for refunds of voucher_id is over (see campaign_id and until); goods that it did not pay for may still come back by items."
        pos "已过退款期限。" "The time for refunds is over.";
    ReversalWindowClosed "reversal_window_closed" 409 false "已过冲正期限（见 until），请退款。" "The time for a reversal is over (see until); refund the order."
        pos "已过冲正期限，请走退款。" "It is too late to cancel: make a refund.";

    // Merchants and settlement.
    TillKeyConflict "till_key_conflict" 409 false "该 Idempotency-Key 已用于其他密钥，见 fields。" "The Idempotency-Key made another key; see fields.";
    MerchantConflict "merchant_conflict" 409 false "商户信息与已登记的不同，见 fields。" "The merchant exists with other data; see fields.";
    EnrolmentClosed "enrolment_closed" 409 false "不在商户报名期内。" "The enrolment window is not open.";
    MerchantStateRefuses "merchant_state_refuses" 409 false "商户当前状态不允许此操作，见 state。" "The merchant's state does not allow this; see state.";
    DayNotOver "day_not_over" 409 true "当日尚未结束。" "The day is not over yet.";

    // The store.
    Overloaded "overloaded" 503 true "系统繁忙，没有任何扣减，请稍后再试。" "Busy: nothing was applied; try again as Retry-After says."
        pos "系统繁忙，请稍后再试。" "The system is busy: try again.";
    StoreUnavailable "store_unavailable" 503 true "存储不可用，没有任何扣减，请稍后再试。" "The store is not available: nothing was applied; try again in a moment."
        pos "系统暂不可用，请稍后再试。" "The system is not available: try again.";
    StoreTimeout "store_timeout" 503 true "结果未知，请用相同编号重试或冲正。" "The outcome is not known: repeat with the same ids, or reverse."
        pos "结果未知，请重试同一订单。" "The result is not known: try the same order again.";
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
