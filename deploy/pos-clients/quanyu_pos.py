"""A till's client of Quanyu: one file, standard library only, Python 3.9 or newer.

    till = Till("https://vouchers.example", key_id, secret)
    sale = till.redeem("A1-0001", amount=11800, pay_code=code, category="catering", capture=True)
    collect(sale["payable"]); show(sale["pos_message"]["zh"])

A refusal is raised as `Refused`; show its `pos_message` as it is. `Reversed` says that no answer could be had and that the order was
undone for good: nothing was used. Every answer's signature is checked, and an answer without one counts as lost. `NotAdmitted` says that
nobody but an operator can help: look at the key and its secret.
"""

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import time
import urllib.parse

SCHEME = "QUANYU-HMAC-SHA256"
# A redemption is repeated after these seconds, with the same order_id and a fresh signature, and then reversed.
RETRY_AFTER = (1.0, 2.0, 4.0)
# What must be answered is asked again, at most this many seconds apart.
LONGEST_WAIT = 30.0


class Refused(Exception):
    """The service said no, and why. Nothing was applied unless `outcome` says otherwise."""

    def __init__(self, status, problem):
        super().__init__(problem.get("code", str(status)))
        self.status = status
        self.problem = problem
        self.code = problem.get("code", "")
        self.retryable = bool(problem.get("retryable"))
        self.outcome = problem.get("outcome", "unknown")
        self.pos_message = problem.get("pos_message") or {}
        # Seconds that the service asks to wait before a repeat.
        self.retry_after = min(problem.get("retry_after_ms", 0) / 1000, LONGEST_WAIT)


class Reversed(Exception):
    """No answer came in time, so the order was undone. It cannot be used again: start a new one."""

    def __init__(self, order_id, answer):
        super().__init__(order_id)
        self.order_id = order_id
        self.answer = answer
        self.pos_message = answer.get("pos_message") or {}


class NoAnswer(Exception):
    """Nothing that can be believed came back; whether anything was applied is not known."""


class NotAdmitted(NoAnswer):
    """The call was answered by 401 and no signature, again and again: the service does not know this key by this secret, or somebody else
    answers in its place. Whether anything was applied is not known; what was open stays open until the key is right."""


def sign(secret, method, target, timestamp, nonce, body):
    """The signature of a request: five lines over the raw bytes."""
    return _mac(secret, (method, target, timestamp, nonce), body)


def sign_answer(secret, status, timestamp, nonce, body):
    """The signature that an answer must carry: four lines, with the nonce of its request."""
    return _mac(secret, (str(status), timestamp, nonce), body)


def _mac(secret, lines, body):
    message = "".join(line + "\n" for line in lines).encode() + body + b"\n"
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


class Till:
    """One till with its key. `secret` may be a list while the key is rotated: the first one signs, all are believed."""

    def __init__(self, url, key_id, secret, timeout=3.0, clock=time.time, sleep=time.sleep):
        self.url = urllib.parse.urlsplit(url)
        self.key_id = key_id
        self.timeout = timeout
        self.rotate(secret)
        self._clock = clock
        self._sleep = sleep
        # Seconds that the service's clock is ahead of ours; learned when it says that ours is wrong.
        self._ahead = 0

    def rotate(self, secret):
        """Signs with a new secret (or the first of several) from now on."""
        self.secrets = [secret] if isinstance(secret, str) else list(secret)

    # What a till does. Amounts are whole fen.

    def quote(self, amount, category, **more):
        """What a redemption would do now; it has no effect."""
        return self._patiently("POST", "/v1/redemptions/quote", {"amount": amount, "category": category, **more})

    def redeem(self, order_id, amount, category, capture=False, **more):
        """Holds the best voucher, or with `capture` redeems it at once. `more` is pay_code or voucher_ids (or account), and
        merchant_discount, items, scene, receipt. The order_id is yours, one for each sale, written down before this call."""
        body = {"order_id": order_id, "amount": amount, "category": category, "capture": capture, **more}
        try:
            return self._patiently("POST", "/v1/redemptions", body)
        except NotAdmitted:
            raise
        except NoAnswer:
            raise Reversed(order_id, self.reverse(order_id, "no_answer")) from None

    def confirm(self, order_id, hold_id, paid_amount, **more):
        """The customer has paid. On `hold_expired` or `order_reversed` give the payment back."""
        return self._until_answered(order_id, "confirm", {"hold_id": hold_id, "paid_amount": paid_amount, **more})

    def cancel(self, order_id):
        """The customer does not pay after all."""
        return self._until_answered(order_id, "cancel", {})

    def reverse(self, order_id, reason="outcome_unknown"):
        """Afterwards the order has had no effect, and no late copy of it ever will."""
        return self._until_answered(order_id, "reverse", {"reason": reason})

    def refund(self, order_id, refund_id, amount=None, items=None):
        """Goods came back; pay out `to_payer`. Give `amount`, part of amount - merchant_discount, or `items` as a list of
        {"sku", "quantity"} if the order was sent with its items: they give back what was paid for these very goods. Where one sku
        stands on several lines at different prices, add "line" (place among the items of the order, from 0) or "serial"."""
        body = {"refund_id": refund_id, "amount": amount, "items": items}
        return self._until_answered(order_id, "refunds", {name: value for name, value in body.items() if value is not None})

    def get(self, order_id):
        """Where an order stands; `order_not_found` says that it had no effect so far."""
        return self._patiently("GET", _order(order_id), None)

    # How it is sent.

    def call(self, method, target, body=None):
        """One signed request and its answer, believed only with a right signature. Raises Refused or NoAnswer."""
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        timestamp, nonce = str(int(self._clock() + self._ahead)), secrets.token_urlsafe(16)
        signature = sign(self.secrets[0], method, target, timestamp, nonce, raw)
        headers = {
            "Authorization": f'{SCHEME} key_id="{self.key_id}",timestamp="{timestamp}",nonce="{nonce}",signature="{signature}"'
        }
        if raw:
            headers["Content-Type"] = "application/json"
        status, answer = self._exchange(method, target, raw, headers, nonce)
        if 200 <= status < 300:
            return answer
        if answer.get("code") == "timestamp_out_of_range" and "server_time" in answer:
            self._ahead = answer["server_time"] - self._clock()
        raise Refused(status, answer)

    def _exchange(self, method, target, raw, headers, nonce):
        secure = self.url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.url.hostname, self.url.port, timeout=self.timeout)
        try:
            connection.request(method, target, body=raw or None, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException, socket.timeout) as error:
            raise NoAnswer(str(error)) from error
        finally:
            connection.close()
        timestamp = response.headers.get("Quanyu-Timestamp", "")
        given = response.headers.get("Quanyu-Signature", "").encode()
        expected = [sign_answer(one, response.status, timestamp, nonce, body).encode() for one in self.secrets]
        if not any(hmac.compare_digest(given, one) for one in expected):
            unsigned = NotAdmitted if response.status == 401 else NoAnswer
            raise unsigned(f"the answer {response.status} is not signed by the service: {body[:300].decode(errors='replace')}")
        try:
            return response.status, json.loads(body)
        except ValueError as error:
            raise NoAnswer("the answer is not JSON") from error

    def _patiently(self, method, target, body):
        """Asks again after 1, 2 and 4 s while no answer comes or the answer may differ soon."""
        waits = list(RETRY_AFTER)
        while True:
            try:
                return self.call(method, target, body)
            except NoAnswer:
                if not waits:
                    raise
            except Refused as refused:
                if not _worth_repeating(refused):
                    raise
                if not waits:
                    if refused.outcome == "not_applied":
                        raise
                    raise NoAnswer(refused.code) from refused
                waits[0] = max(waits[0], refused.retry_after)
            self._sleep(waits.pop(0))

    def _until_answered(self, order_id, verb, body):
        """Must not stay open: asked again until the service has said yes or no, or has not admitted us as often as a redemption is tried."""
        wait, not_admitted = RETRY_AFTER[0], 0
        while True:
            asked = 0.0
            try:
                return self.call("POST", f"{_order(order_id)}/{verb}", body)
            except NotAdmitted:
                not_admitted += 1
                if not_admitted > len(RETRY_AFTER):
                    raise
            except NoAnswer:
                not_admitted = 0
            except Refused as refused:
                if not _worth_repeating(refused):
                    raise
                asked, not_admitted = refused.retry_after, 0
            self._sleep(max(wait, asked))
            wait = min(wait * 2, LONGEST_WAIT)


def _worth_repeating(refused):
    """Trouble on the service's side, a busy moment, or a clock that has just been set; other refusals are final answers."""
    return refused.status >= 500 or refused.code in ("rate_limited", "timestamp_out_of_range")


def _order(order_id):
    return "/v1/redemptions/" + urllib.parse.quote(order_id, safe="")
