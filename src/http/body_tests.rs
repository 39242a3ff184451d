use super::*;
use actix_web::test::TestRequest;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Order {
    order_id: String,
    amount: u32,
    #[serde(default)]
    scene: Option<Scene>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scene {
    DineIn,
    Takeaway,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Item {
    sku: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Free {
    target: serde_json::Value,
    attributes: Option<std::collections::BTreeMap<String, String>>,
}

#[test]
fn an_unknown_field_is_told_what_was_meant_or_a_short_list() {
    let said = |body: &str| parse::<Order>(body.as_bytes()).unwrap_err().errors[0].en.clone();
    assert_eq!(said(r#"{"order_id":"a","amuont":1}"#), "There is no such field. Did you mean amount?");
    let listed = said(r#"{"order_id":"a","colour":1}"#);
    assert!(listed.starts_with("There is no such field. Known: ") && listed.contains("`scene`"), "{listed}");
    assert_eq!(
        told::explain(&format!("unknown field `x`, expected one of {}", ["`field`"; 9].join(", "))).3,
        "There is no such field."
    );
}

#[test]
fn a_key_that_is_written_twice_is_refused_also_where_keys_are_free() {
    for (body, pointer) in [
        (r#"{"target":{"a":1,"a":2}}"#, Some("/target/a")),
        (r#"{"target":[0,{"b":{"c/d":1,"c/d":1}}]}"#, Some("/target/1/b/c~1d")),
        (r#"{"target":1,"attributes":{"a":"1","a":"2"}}"#, Some("/attributes/a")),
        (r#"{"target":{"a":{"a":1},"b":{"a":1}},"attributes":{"a":"1"}}"#, None),
        (r#"{"target":"\"a\":1,\"a\":2"}"#, None),
    ] {
        let found = parse::<Free>(body.as_bytes())
            .err()
            .map(|refusal| (refusal.errors[0].pointer.clone(), refusal.errors[0].code));
        assert_eq!(found, pointer.map(|pointer| (pointer.to_owned(), "duplicate_field")), "{body}");
    }
}

#[test]
fn every_fault_of_a_body_has_its_code_and_its_pointer() {
    let check = |body: &str, code: Code, field: Option<(&str, &str)>| {
        let refusal = parse::<Order>(body.as_bytes()).unwrap_err();
        let found = refusal.errors.first().map(|error| (error.code, error.pointer.as_str()));
        assert_eq!((refusal.code, found), (code, field), "{body}: {refusal:?}");
    };
    let fault = |body: &str, code: &str, pointer: &str| check(body, Code::InvalidRequest, Some((code, pointer)));
    check("", Code::MalformedJson, None);
    check("{", Code::MalformedJson, None);
    check(r#"{"order_id":"a","amount":1} x"#, Code::MalformedJson, None);
    check("{} {}", Code::MalformedJson, None);
    check(r#"{"amount":1.5"#, Code::MalformedJson, None);
    check("\u{feff}{}", Code::MalformedJson, None);
    fault(r#"["a", 1]"#, "wrong_type", "");
    fault(&"[".repeat(5_000), "wrong_type", "");
    fault("5", "wrong_type", "");
    fault(r#"{"order_id":"a"}"#, "missing_field", "/amount");
    fault(r#"{"order_id":"a","amount":1,"x/y":1}"#, "unknown_field", "/x~1y");
    fault(r#"{"order_id":"a","order_id":"b","amount":1}"#, "duplicate_field", "/order_id");
    fault(r#"{"order_id":"a","amount":1.0}"#, "integer_expected", "/amount");
    fault(r#"{"order_id":"a","amount":1e3}"#, "integer_expected", "/amount");
    fault(r#"{"order_id":"a","amount":"1"}"#, "wrong_type", "/amount");
    fault(r#"{"order_id":"a","amount":-1}"#, "out_of_range", "/amount");
    fault(r#"{"order_id":"a","amount":4294967296}"#, "out_of_range", "/amount");
    fault(r#"{"order_id":null,"amount":1}"#, "wrong_type", "/order_id");
    fault(r#"{"order_id":"a","amount":1,"scene":"online"}"#, "unknown_value", "/scene");
    fault(r#"{"order_id":"a","amount":1,"items":[{"sku":"s"},{"sku":7}]}"#, "wrong_type", "/items/1/sku");
    fault(r#"{"order_id":"a","amount":1,"items":[{"sku":"s"},{}]}"#, "missing_field", "/items/1/sku");
    fault(r#"{"order_id":"a","amount":1,"items":[{"sku":"s","size":1}]}"#, "unknown_field", "/items/0/size");
}

#[test]
fn what_is_wrong_with_a_value_is_told_in_chinese_too() {
    for (body, zh) in [
        (r#"{"order_id":7,"amount":1}"#, "类型不符，应为文字。"),
        (r#"{"order_id":"a","amount":"1"}"#, "类型不符，应为整数。"),
        (r#"{"order_id":"a","amount":1,"items":{}}"#, "类型不符，应为列表。"),
        (r#"{"order_id":"a","amount":1,"items":[7]}"#, "类型不符，应为对象。"),
        (r#"{"order_id":"a","amount":-1}"#, "取值超出范围，应为整数。"),
        (r#"{"order_id":"a","amount":1,"scene":"online"}"#, "没有这个取值，可用：dine_in、takeaway。"),
        (r#"{"order_id":"a","amuont":1}"#, "没有这个字段。是否想写 amount？"),
        (r#"{"order_id":"a","amount":1,"tip":1}"#, "没有这个字段。可用：order_id、amount、scene、items。"),
    ] {
        assert_eq!(parse::<Order>(body.as_bytes()).unwrap_err().errors[0].zh, zh, "{body}");
    }
}

#[test]
fn a_refusal_does_not_repeat_what_was_sent() {
    for body in [
        r#"{"order_id":"a","amount":"11010519491231002X"}"#,
        r#"{"order_id":"a","amount":1,"scene":"11010519491231002X"}"#,
    ] {
        let refusal = parse::<Order>(body.as_bytes()).unwrap_err();
        assert!(!format!("{refusal:?}").contains("11010519491231002X"), "{refusal:?}");
    }
}

#[actix_web::test]
async fn only_uncompressed_json_of_16_kib_is_taken() {
    let long = format!(r#"{{"order_id":"{}","amount":1}}"#, "a".repeat(BODY_LIMIT));
    let fit = r#"{"order_id":"a","amount":1}"#.to_owned();
    for (body, media_type, encoding, expected) in [
        (&fit, "application/json", None, None),
        (&fit, "application/json; charset=UTF-8", None, None),
        (&fit, "application/json", Some("identity"), None),
        (&fit, "text/plain", None, Some(Code::UnsupportedMediaType)),
        (&fit, "application/json; charset=gbk", None, Some(Code::UnsupportedMediaType)),
        (&fit, "application/json", Some("gzip"), Some(Code::UnsupportedMediaType)),
        (&long, "application/json", None, Some(Code::BodyTooLarge)),
    ] {
        let mut request = TestRequest::post().insert_header((CONTENT_TYPE, media_type)).set_payload(body.clone());
        if let Some(encoding) = encoding {
            request = request.insert_header((CONTENT_ENCODING, encoding));
        }
        let (request, mut payload) = request.to_http_parts();
        let read = Body::<Order>::from_request(&request, &mut payload).await;
        assert_eq!(read.err().map(|problem| problem.0.code), expected, "{media_type} {encoding:?}");
    }
}

#[actix_web::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit_too() {
    let chunks = futures_util::stream::repeat_with(|| {
        Ok::<_, actix_web::error::PayloadError>(Bytes::from_static(&[b' '; 1024]))
    });
    let payload: dev::Payload = dev::Payload::Stream { payload: Box::pin(chunks) };
    let request = TestRequest::post().to_http_request();
    assert_eq!(read(&request, payload).await.unwrap_err().code, Code::BodyTooLarge);
}

#[actix_web::test]
async fn a_body_that_never_ends_is_given_up() {
    let payload: dev::Payload = dev::Payload::Stream { payload: Box::pin(futures_util::stream::pending()) };
    let request = TestRequest::post().to_http_request();
    assert_eq!(
        read_within(Duration::from_millis(1), BODY_LIMIT, &request, payload).await.unwrap_err().code,
        Code::BodyTimeout
    );
}

#[actix_web::test]
async fn a_body_may_come_in_pieces() {
    let pieces = ["{\"order_id\":", "\"a\",", "\"amount\":1}"]
        .map(|text| Ok::<_, actix_web::error::PayloadError>(Bytes::from(text)));
    let payload: dev::Payload = dev::Payload::Stream { payload: Box::pin(futures_util::stream::iter(pieces)) };
    let request = TestRequest::post().to_http_request();
    assert_eq!(parse::<Order>(&read(&request, payload).await.unwrap()).unwrap().amount, 1);
}

#[actix_web::test]
async fn a_faulty_query_names_the_parameter() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Page {
        limit: u32,
    }
    for (query, code, pointer) in
        [("limit=1&x=2", "unknown_field", "?x"), ("", "missing_field", "?limit"), ("limit=a", "invalid_value", "?")]
    {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        let problem = Params::<Page>::from_request(&request, &mut dev::Payload::None).await.unwrap_err();
        let found = problem.0.errors.first().map(|error| (error.code, error.pointer.as_str()));
        assert_eq!(found, Some((code, pointer)), "{query}");
    }
}

#[test]
fn only_an_amount_is_told_of_fen() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Page {
        amount: u32,
        merchant_discount: i64,
        rate: u32,
    }
    for (body, is_money) in [
        (r#"{"amount":1.5,"merchant_discount":1,"rate":1}"#, true),
        (r#"{"amount":1,"merchant_discount":1.5,"rate":1}"#, true),
        (r#"{"amount":1,"merchant_discount":1,"rate":1.5}"#, false),
    ] {
        let error = parse::<Page>(body.as_bytes()).unwrap_err().errors.remove(0);
        assert!(error.en.starts_with("Must be a whole number") && error.zh.starts_with("须为整数"), "{error:?}");
        assert_eq!([error.en.contains("fen"), error.zh.contains("分为单位")], [is_money; 2], "{error:?}");
    }
}
