"""The adapter by which `quanyu pos-certify` drives quanyu_pos.py: one JSON object a line in, one out. Write the same for your POS."""

import json
import sys
import time

from quanyu_pos import Refused, Reversed, Till


class Pos:
    """A small POS system: it names its orders, keeps them, and tells the cashier what happened."""

    till_class = Till

    def __init__(self):
        self.till = None
        self.clock_offset = 0
        self.orders = {}

    def setup(self, url, key_id, secret, pace=1.0, **_):
        self.till = self.till_class(
            url,
            key_id,
            secret,
            clock=lambda: time.time() + self.clock_offset,
            sleep=lambda seconds: time.sleep(seconds * pace),
        )
        return {"name": "quanyu_pos.py", "version": "1"}

    def sale(self, sale, amount, category, pay_code, mode, payment="paid", merchant_discount=0, **_):
        # A real system keeps this on disk before the first call, so that a restart repeats and does not begin anew.
        order_id = self.orders.setdefault(sale, f"PY-{sale}")
        try:
            answer = self.till.redeem(
                order_id,
                amount=amount,
                category=category,
                pay_code=pay_code,
                merchant_discount=merchant_discount,
                capture=mode == "capture",
            )
            if mode == "hold":
                answer = self.take_payment(order_id, answer, payment)
        except Refused as refused:
            return {"order_id": order_id, "state": "refused", "code": refused.code, "pos_message": refused.pos_message}
        except Reversed as undone:
            return {"order_id": order_id, "state": "reversed", "pos_message": undone.pos_message}
        return told(order_id, answer)

    def take_payment(self, order_id, held, payment):
        if payment == "declined":
            return self.till.cancel(order_id)
        return self.till.confirm(order_id, held["hold_id"], held["payable"])

    def refund(self, sale, refund, amount, **_):
        try:
            answer = self.till.refund(self.orders[sale], f"R-{refund}", amount)
        except Refused as refused:
            return {"state": "refused", "code": refused.code, "pos_message": refused.pos_message}
        return {"state": "refunded", "to_payer": answer["to_payer"], "pos_message": answer["pos_message"]}

    def rotate(self, secret, **_):
        self.till.rotate(secret)
        return {}

    def clock(self, offset_seconds, **_):
        self.clock_offset = offset_seconds
        return {}


def told(order_id, answer):
    told = {"order_id": order_id, "state": answer["state"], "pos_message": answer["pos_message"]}
    if answer["state"] == "redeemed":
        told["payable"] = answer["payable"]
    return told


def serve(pos):
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(pos, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(Pos())
