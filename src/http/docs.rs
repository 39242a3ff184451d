//! `/docs`: the page on which the `type` of every problem stands, written from the one table of refusals, so none is missing; and behind them
//! every field of the campaign file.

use std::fmt::Write;
use std::sync::LazyLock;

use actix_web::get;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use utoipa_actix_web::service_config::ServiceConfig;

use super::answer::Answer;
use super::auth::Anyone;
use crate::domain::refusal::Code;

/// Where the page is; a problem's `type` is this and its code.
pub const PAGE: &str = "/docs";

pub fn configure(config: &mut ServiceConfig) {
    config.service(docs);
}

/// Every refusal: what it means, its status, whether the same request may be answered otherwise later; and every field of the campaign file.
#[utoipa::path(tag = "operations", responses((status = 200, description = "A page in Chinese and English.", body = String, content_type = "text/html")))]
#[get("/docs")]
async fn docs(_: Anyone) -> Answer {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    let answer = Answer::raw(TEXT.as_bytes()).replace_header(CONTENT_TYPE, "text/html; charset=utf-8");
    answer.header(CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")
}

fn text() -> String {
    let mut page = String::from(HEAD);
    for code in Code::ALL {
        let (name, status, (zh, en)) = (code.as_str(), code.status(), code.message());
        let (again_zh, again_en) =
            if code.retryable() { ("可重试", "try again") } else { ("不可重试", "do not") };
        let (till_zh, till_en) = code.pos_message().unwrap_or_default();
        let row = format_args!(
            "<tr id=\"{name}\"><td><code>{name}</code><td>{status}<td>{again_zh}<br>{again_en}<td lang=\"zh-CN\">{}<td>{}<td><span lang=\"zh-CN\">{}</span><br>{}\n",
            escaped(zh),
            escaped(en),
            escaped(till_zh),
            escaped(till_en),
        );
        page.write_fmt(row).expect("a string takes what is written to it");
    }
    page.push_str("</table>\n<pre id=\"campaign-file\">");
    page.push_str(&escaped(CAMPAIGN_FILE));
    page.push_str("</pre>\n");
    page
}

const CAMPAIGN_FILE: &str = include_str!("../../deploy/campaign-file.md");

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Quanyu 券雨</title>
<style>
body { font-family: sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
td, th { border-top: 1px solid #ccc; padding: .4em; text-align: left; vertical-align: top }
tr:target { background: #ffd }
pre { white-space: pre-wrap }
</style>
<h1>Quanyu 券雨</h1>
<p lang=\"zh-CN\">所有请求与应答见 <a href=\"/openapi.json\">openapi.json</a>。活动文件的每个字段见<a href=\"#campaign-file\">本页末尾</a>（英文）。拒绝应答的 code 如下，同时适用时取排在前面的一个。</p>
<p>Every request and answer is described by <a href=\"/openapi.json\">openapi.json</a>, every field of the campaign file <a href=\"#campaign-file\">below</a>. These are the codes of
refusals; of two that apply, the one that stands first is given.</p>
<p lang=\"zh-CN\">拒绝应答为 application/problem+json：<code>code</code> 供程序判断，<code>title</code> 与 <code>detail</code> 供人阅读（语言由 Accept-Language 决定，<code>message</code>
两种语言都有），<code>errors</code> 逐字段指明错误，<code>request_id</code> 供查询。<code>outcome</code> 说明请求是否生效：<code>not_applied</code> 未生效，<code>applied</code> 已生效，<code>unknown</code>
未知，此时请用相同编号重复同一请求，直到得到答复。可重试的，按 <code>retry_after_ms</code> 或 Retry-After 等待后再发。收银员所见的一句话在 <code>pos_message</code> 中。</p>
<p>A refusal is application/problem+json: <code>code</code> is for programs, <code>title</code> and <code>detail</code> are for people (Accept-Language picks the language,
<code>message</code> has both), <code>errors</code> names each field that is wrong, and <code>request_id</code> finds it in the log. <code>outcome</code> says what became of the request:
<code>not_applied</code>, <code>applied</code> or <code>unknown</code>; then repeat it with the same ids until it is answered. What may be tried again waits for
<code>retry_after_ms</code> or Retry-After. What a cashier reads is <code>pos_message</code>.</p>
<table>
<tr><th>code<th>HTTP<th>重试<br>again<th>说明<th>meaning<th>收银员<br>cashier
";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_place_on_the_page_with_its_words() {
        let page = text();
        for code in Code::ALL {
            assert_eq!(page.matches(&format!("<tr id=\"{}\">", code.as_str())).count(), 1, "{}", code.as_str());
            let (zh, en) = code.message();
            let (till_zh, till_en) = code.pos_message().unwrap_or_default();
            for said in [zh, en, till_zh, till_en] {
                assert!(page.contains(&escaped(said)), "{}: {said}", code.as_str());
            }
        }
        assert!(
            page.contains("href=\"#campaign-file\"") && page.contains("<pre id=\"campaign-file\"># The campaign file")
        );
    }
}
