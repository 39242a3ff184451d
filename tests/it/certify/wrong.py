"""Integrations that are wrong in one way each, for the tests of `quanyu pos-certify`: wrong.py WAY."""

import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../deploy/pos-clients"))
sys.dont_write_bytecode = True
import quanyu_pos  # noqa: E402
from adapter import Pos, serve  # noqa: E402
from quanyu_pos import NoAnswer, Refused, Till  # noqa: E402

numbers = itertools.count()


class NewOrder(Till):
    """Sends a sale anew under another order_id when no answer comes."""

    def call(self, method, target, body=None):
        if target == "/v1/redemptions":
            body = {**body, "order_id": f"{body['order_id']}-{next(numbers)}"}
        return super().call(method, target, body)


class NeverReverses(Till):
    """Gives up and tells the cashier that nothing happened."""

    def reverse(self, order_id, reason=""):
        return {"pos_message": {"zh": "网络错误", "en": "Network error"}}


class BelievesAnything(Till):
    """Does not look at the signature of an answer."""

    def _exchange(self, method, target, raw, headers, nonce):
        compare = quanyu_pos.hmac.compare_digest
        quanyu_pos.hmac.compare_digest = lambda one, other: True
        try:
            return super()._exchange(method, target, raw, headers, nonce)
        finally:
            quanyu_pos.hmac.compare_digest = compare


class Impatient(Till):
    """Repeats at once."""

    def __init__(self, *args, **more):
        super().__init__(*args, **{**more, "sleep": lambda seconds: None})


class NewRefund(Till):
    """Refunds anew under another refund_id when no answer comes."""

    def call(self, method, target, body=None):
        if target.endswith("/refunds"):
            body = {**body, "refund_id": f"{body['refund_id']}-{next(numbers)}"}
        return super().call(method, target, body)


class KeepsItsSecret(Till):
    """Goes on with the secret that it was installed with."""

    def rotate(self, secret):
        self.secrets = getattr(self, "secrets", None) or [secret]


class RepeatsRefusals(Till):
    """Takes a final no for trouble on the way."""

    def call(self, method, target, body=None):
        try:
            return super().call(method, target, body)
        except Refused as refused:
            if refused.code == "voucher_used":
                raise NoAnswer(refused.code) from refused
            raise


class SellsAnyway(Till):
    """Takes a conflict for a bad number and sells under a new one."""

    def redeem(self, order_id, **purchase):
        try:
            return super().redeem(order_id, **purchase)
        except Refused as refused:
            if refused.code != "order_conflict":
                raise
            return super().redeem(f"{order_id}-{next(numbers)}", **purchase)


class LeavesHolds(Till):
    """Lets a hold run out when the customer does not pay."""

    def cancel(self, order_id):
        return {"state": "cancelled", "pos_message": {}}


def main():
    ways = [NewOrder, NeverReverses, BelievesAnything, Impatient, NewRefund, KeepsItsSecret, RepeatsRefusals, SellsAnyway, LeavesHolds]
    pos = Pos()
    pos.till_class = {way.__name__: way for way in ways}[sys.argv[1]]
    serve(pos)


if __name__ == "__main__":
    main()
