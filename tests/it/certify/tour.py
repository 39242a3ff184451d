"""Every call of the Python client against a real server: tour.py URL KEY_ID SECRET. Prints what came of each."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../deploy/pos-clients"))
sys.dont_write_bytecode = True
from quanyu_pos import Refused, Reversed, Till, sign, sign_answer  # noqa: E402

CODE = "97999000000000%s"


def refused(call):
    try:
        call()
    except Refused as refusal:
        return [refusal.status, refusal.code, refusal.outcome, bool(refusal.pos_message["zh"])]


def vectors():
    with open(os.path.join(os.path.dirname(__file__), "../../../deploy/pos-clients/vectors.json"), encoding="utf-8") as file:
        known = json.load(file)
    secret = known["secret"]
    requests = [
        sign(secret, one["method"], one["target"], one["timestamp"], one["nonce"], one["body"].encode()) == one["signature"]
        for one in known["requests"]
    ]
    answers = [
        sign_answer(secret, one["status"], one["timestamp"], one["nonce"], one["body"].encode()) == one["signature"]
        for one in known["answers"]
    ]
    return [len(requests), len(answers), all(requests + answers)]


def main():
    url, key_id, secret = sys.argv[1:]
    till = Till(url, key_id, secret, sleep=lambda seconds: None)
    fine, goods = CODE % "0015", {"category": "catering"}
    out = {"vectors": vectors()}
    quote = till.quote(6400, "catering", pay_code=fine, merchant_discount=800)
    out["quote"] = [quote["payable"], quote["better"]["add_amount"]]
    held = till.redeem("tour-1", amount=11800, pay_code=fine, receipt={"cashier": "王", "receipt_no": "8"}, **goods)
    out["hold"] = [held["state"], held["payable"]]
    out["confirm"] = till.confirm("tour-1", held["hold_id"], 9800, payment_reference="card 1")["state"]
    out["refund"] = till.refund("tour-1", "R1", 5900)["to_payer"]
    out["get"] = till.get("tour-1")["state"]
    items = [{"sku": "tea", "quantity": 2, "amount": 6000}]
    till.redeem("tour-9", amount=6000, pay_code=fine, items=items, capture=True, **goods)
    out["items"] = till.refund("tour-9", "R1", items=[{"sku": "tea", "quantity": 1}])["to_payer"]
    till.redeem("tour-2", amount=6000, pay_code=fine, **goods)
    out["cancel"] = till.cancel("tour-2")["state"]
    out["error then ok"] = till.redeem("tour-3", amount=6000, pay_code=CODE % "0080", capture=True, **goods)["state"]
    out["answer lost"] = till.redeem("tour-4", amount=6000, pay_code=CODE % "0098", capture=True, **goods)["state"]
    out["reverse"] = till.reverse("tour-4")["was"]
    out["used"] = refused(lambda: till.redeem("tour-5", amount=6000, pay_code=CODE % "0023", **goods))
    out["busy"] = refused(lambda: till.redeem("tour-6", amount=6000, pay_code=CODE % "0072", **goods))
    out["unknown order"] = refused(lambda: till.get("tour-7"))
    stranger = Till(url, key_id, "sk_test_of_somebody_else", sleep=lambda seconds: None)
    try:
        stranger.get("tour-1")
    except Exception as error:
        out["unsigned answer"] = type(error).__name__
    rotated = Till(url, key_id, ["sk_test_of_somebody_else", secret], sleep=lambda seconds: None)
    try:
        rotated.get("tour-1")
    except Exception as error:
        out["wrong secret"] = type(error).__name__
    calls = {
        "redeem": lambda: rotated.redeem("tour-9", amount=6000, pay_code=fine, **goods),
        "confirm": lambda: rotated.confirm("tour-1", "h", 1),
    }
    for verb, call in calls.items():
        try:
            call()
        except Exception as error:
            out[f"wrong secret at {verb}"] = type(error).__name__
    slow = Till(url, key_id, secret, clock=lambda: 1_600_000_000, sleep=lambda seconds: None)
    out["slow clock"] = slow.get("tour-1")["state"]
    nobody = Till("http://127.0.0.1:9", key_id, secret, timeout=0.2, sleep=lambda seconds: None)
    nobody.reverse = lambda order_id, reason: till.reverse(order_id, reason)
    try:
        nobody.redeem("tour-8", amount=6000, pay_code=fine, **goods)
    except Reversed as undone:
        out["never answered"] = [undone.order_id, undone.answer["was"]]
    print(json.dumps(out))


main()
