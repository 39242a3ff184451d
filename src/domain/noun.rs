//! What a caller can name by an id, and the two refusals that are about the name itself: there is no such thing, and it has another version.

use serde_json::Value;

use crate::domain::refusal::{Code, Refusal};

macro_rules! nouns {
    ($($name:ident $text:literal $zh:literal $en:literal;)*) => {
        /// A thing with an id of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Noun { $($name),* }

        impl Noun {
            /// As the member `what` of a refusal names it.
            pub fn as_str(self) -> &'static str {
                match self { $(Noun::$name => $text),* }
            }

            fn words(self) -> (&'static str, &'static str) {
                match self { $(Noun::$name => ($zh, $en)),* }
            }
        }
    };
}

nouns! {
    Campaign "campaign" "活动" "campaign";
    Amendment "amendment" "修订" "amendment";
    Merchant "merchant" "商户" "merchant";
    Enrolment "enrolment" "商户报名" "enrolment of the merchant";
    Terminal "terminal" "终端" "terminal";
    TillKey "till_key" "收银密钥" "till key";
    List "list" "名单" "list";
    Area "area" "区域" "area";
    PayCode "pay_code" "付款码" "pay code";
}

impl Noun {
    /// There is none with this id, or it is another program's: one answer, so that nobody learns which ids others have.
    pub fn not_found(self, id: &str) -> Refusal {
        let (zh, en) = self.words();
        let said_zh = format!("没有编号为“{id}”的{zh}，或它不属于您的项目。");
        let said_en = format!("There is no {en} \"{id}\", or it is not of your program.");
        Refusal::new(Code::NotFound).with("what", self.as_str()).with("id", id).detail(said_zh, said_en)
    }

    /// Its version is not the one that the call goes by; `sent` is the header as it came, if it was that one.
    pub fn has_changed(self, id: &str, current: Option<u64>, sent: Option<&str>) -> Refusal {
        let (zh, en) = self.words();
        let tag = current.map(|version| format!("\"{version}\""));
        let (said_zh, said_en) = match (&tag, sent) {
            (None, _) => (
                format!("{zh}“{id}”尚不存在；请以 If-None-Match: * 新建。"),
                format!("The {en} \"{id}\" does not exist yet: create it with If-None-Match: *."),
            ),
            (Some(tag), Some("*")) => (
                format!("{zh}“{id}”已存在，版本为 {tag}；请读取后以 If-Match: {tag} 修改。"),
                format!("The {en} \"{id}\" exists, at version {tag}: read it, and replace it with If-Match: {tag}."),
            ),
            (Some(tag), _) => (
                format!("{zh}“{id}”的现行版本为 {tag}，与 If-Match 不符；请重新读取后再改。"),
                format!(
                    "The {en} \"{id}\" is at version {tag}, which is not what If-Match names: read it again before you change it."
                ),
            ),
        };
        let refusal = Refusal::new(Code::PreconditionFailed).with("what", self.as_str()).with("id", id);
        let refusal = refusal.with("current", tag.map_or(Value::Null, Value::from)).detail(said_zh, said_en);
        match sent {
            Some(sent) => refusal.with("sent", sent),
            None => refusal,
        }
    }
}
