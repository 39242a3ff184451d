// A till's client of Quanyu: one file without dependencies. Node 22.18 or newer runs it as it is; only types that can be erased are used.
//
//   const till = new Till("https://vouchers.example", keyId, secret);
//   const sale = await till.redeem("A1-0001", {amount: 11800, pay_code: code, category: "catering", capture: true});
//   collect(sale.payable); show(sale.pos_message.zh);
//
// A refusal is thrown as `Refused`; show its `posMessage` as it is. `Reversed` says that no answer could be had and that the order was
// undone for good: nothing was used. Every answer's signature is checked, and an answer without one counts as lost. `NotAdmitted` says that
// nobody but an operator can help: look at the key and its secret.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";

export const SCHEME = "QUANYU-HMAC-SHA256";
/** A redemption is repeated after these milliseconds, with the same order_id and a fresh signature, and then reversed. */
export const RETRY_AFTER = [1_000, 2_000, 4_000];
/** What must be answered is asked again, at most this many milliseconds apart. */
export const LONGEST_WAIT = 30_000;

/** Amounts are whole fen. */
export type Fen = number;
export type Words = { zh: string; en: string };
/** An object of the contract, with the members that the API names. */
export type Answer = { [member: string]: any };

/** Who pays: exactly one of the three; `account` is for platforms. */
export type Payer = { pay_code?: string; voucher_ids?: string[]; account?: { channel: string; id: string } };
export type Item = { sku: string; category?: string; serial?: string; quantity?: number; amount: Fen; merchant_discount?: Fen };
/**
 * Goods of an order that come back. Where one sku stands on several lines at different prices, `line` (place among the items of the
 * order, from 0) or `serial` says which.
 */
export type Piece = { sku: string; quantity?: number; line?: number; serial?: string };
export type Purchase = Payer & {
  amount: Fen;
  category: string;
  merchant_discount?: Fen;
  scene?: "dine_in" | "takeaway" | "offline" | "online";
  items?: Item[];
};
export type Sale = Purchase & {
  capture?: boolean;
  receipt?: { store?: string; terminal?: string; cashier?: string; receipt_no?: string };
};

/** The service said no, and why. Nothing was applied unless `outcome` says otherwise. */
export class Refused extends Error {
  status: number;
  code: string;
  outcome: string;
  posMessage: Words | undefined;
  problem: Answer;
  /** Milliseconds that the service asks to wait before a repeat. */
  retryAfter: number;

  constructor(status: number, problem: Answer) {
    super(problem.code ?? String(status));
    this.status = status;
    this.code = problem.code ?? "";
    this.outcome = problem.outcome ?? "unknown";
    this.posMessage = problem.pos_message;
    this.problem = problem;
    this.retryAfter = Math.min(problem.retry_after_ms ?? 0, LONGEST_WAIT);
  }
}

/** No answer came in time, so the order was undone. It cannot be used again: start a new one. */
export class Reversed extends Error {
  orderId: string;
  answer: Answer;
  posMessage: Words | undefined;

  constructor(orderId: string, answer: Answer) {
    super(orderId);
    this.orderId = orderId;
    this.answer = answer;
    this.posMessage = answer.pos_message;
  }
}

/** Nothing that can be believed came back; whether anything was applied is not known. */
export class NoAnswer extends Error {}

/**
 * The call was answered by 401 and no signature, again and again: the service does not know this key by this secret, or somebody else
 * answers in its place. Whether anything was applied is not known; what was open stays open until the key is right.
 */
export class NotAdmitted extends NoAnswer {}

/** The signature of a request: five lines over the raw bytes. */
export function sign(secret: string, method: string, target: string, timestamp: string, nonce: string, body: string): string {
  return mac(secret, [method, target, timestamp, nonce], Buffer.from(body));
}

/** The signature that an answer must carry: four lines, with the nonce of its request. */
export function signAnswer(secret: string, status: number, timestamp: string, nonce: string, body: Buffer): string {
  return mac(secret, [String(status), timestamp, nonce], body);
}

function mac(secret: string, lines: string[], body: Buffer): string {
  const hmac = createHmac("sha256", secret);
  for (const line of lines) hmac.update(line + "\n");
  return hmac.update(body).update("\n").digest("base64");
}

function equal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

export type Options = { timeout?: number; clock?: () => number; sleep?: (milliseconds: number) => Promise<void> };

type Received = { status: number; timestamp: string; signature: string; body: Buffer };

/** One till with its key. `secret` may be a list while the key is rotated: the first one signs, all are believed. */
export class Till {
  url: URL;
  keyId: string;
  secrets: string[];
  timeout: number;
  clock: () => number;
  sleep: (milliseconds: number) => Promise<void>;
  /** Milliseconds that the service's clock is ahead of ours; learned when it says that ours is wrong. */
  ahead = 0;

  constructor(url: string, keyId: string, secret: string | string[], options: Options = {}) {
    this.url = new URL(url);
    this.keyId = keyId;
    this.secrets = [secret].flat();
    this.timeout = options.timeout ?? 3_000;
    this.clock = options.clock ?? Date.now;
    this.sleep = options.sleep ?? ((milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds)));
  }

  /** Signs with a new secret (or the first of several) from now on. */
  rotate(secret: string | string[]): void {
    this.secrets = [secret].flat();
  }

  /** What a redemption would do now; it has no effect. */
  quote(purchase: Purchase): Promise<Answer> {
    return this.patiently("POST", "/v1/redemptions/quote", purchase);
  }

  /**
   * Holds the best voucher, or with `capture` redeems it at once. The order id is yours, one for each sale, written down before this
   * call.
   */
  async redeem(orderId: string, sale: Sale): Promise<Answer> {
    try {
      return await this.patiently("POST", "/v1/redemptions", { order_id: orderId, ...sale });
    } catch (error) {
      if (error instanceof NoAnswer && !(error instanceof NotAdmitted)) throw new Reversed(orderId, await this.reverse(orderId, "no_answer"));
      throw error;
    }
  }

  /** The customer has paid. On `hold_expired` or `order_reversed` give the payment back. */
  confirm(orderId: string, holdId: string, paidAmount: Fen, paymentReference?: string): Promise<Answer> {
    const body = { hold_id: holdId, paid_amount: paidAmount, payment_reference: paymentReference };
    return this.untilAnswered(orderId, "confirm", body);
  }

  /** The customer does not pay after all. */
  cancel(orderId: string): Promise<Answer> {
    return this.untilAnswered(orderId, "cancel", {});
  }

  /** Afterwards the order has had no effect, and no late copy of it ever will. */
  reverse(orderId: string, reason = "outcome_unknown"): Promise<Answer> {
    return this.untilAnswered(orderId, "reverse", { reason });
  }

  /**
   * Goods came back; pay out `to_payer`. Give `amount`, part of amount - merchant_discount, or `items` if the order was sent with its
   * items: they give back what was paid for these very goods.
   */
  refund(orderId: string, refundId: string, amount?: Fen, items?: Piece[]): Promise<Answer> {
    return this.untilAnswered(orderId, "refunds", { refund_id: refundId, amount, items });
  }

  /** Where an order stands; `order_not_found` says that it had no effect so far. */
  get(orderId: string): Promise<Answer> {
    return this.patiently("GET", pathOf(orderId));
  }

  /** One signed request and its answer, believed only with a right signature. Throws Refused or NoAnswer. */
  async call(method: string, target: string, body?: object): Promise<Answer> {
    const raw = body === undefined ? "" : JSON.stringify(body);
    const timestamp = String(Math.floor((this.clock() + this.ahead) / 1_000));
    const nonce = randomBytes(16).toString("base64url");
    const signature = sign(this.secrets[0], method, target, timestamp, nonce, raw);
    const authorization = `${SCHEME} key_id="${this.keyId}",timestamp="${timestamp}",nonce="${nonce}",signature="${signature}"`;
    const received = await this.exchange(method, target, raw, authorization);
    const signed = (secret: string) =>
      equal(received.signature, signAnswer(secret, received.status, received.timestamp, nonce, received.body));
    if (!this.secrets.some(signed)) {
      const unsigned = received.status === 401 ? NotAdmitted : NoAnswer;
      throw new unsigned(`the answer ${received.status} is not signed by the service: ${received.body.subarray(0, 300)}`);
    }
    let answer: Answer;
    try {
      answer = JSON.parse(received.body.toString());
    } catch {
      throw new NoAnswer("the answer is not JSON");
    }
    if (received.status >= 200 && received.status < 300) return answer;
    if (answer.code === "timestamp_out_of_range" && typeof answer.server_time === "number") {
      this.ahead = answer.server_time * 1_000 - this.clock();
    }
    throw new Refused(received.status, answer);
  }

  private exchange(method: string, target: string, raw: string, authorization: string): Promise<Received> {
    const send = this.url.protocol === "https:" ? requestSecure : requestPlain;
    const headers: { [name: string]: string | number } = { authorization };
    if (raw !== "") {
      headers["content-type"] = "application/json";
      headers["content-length"] = Buffer.byteLength(raw);
    }
    return new Promise((answered, failed) => {
      const fail = (error: Error) => failed(new NoAnswer(error.message));
      const options = { host: this.url.hostname, port: this.url.port, path: target, method, headers, agent: false as const };
      const request = send(options, (response) => {
        const parts: Buffer[] = [];
        const header = (name: string) => String(response.headers[name] ?? "");
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", fail);
        response.on("aborted", () => fail(new Error("the answer broke off")));
        response.on("end", () =>
          answered({
            status: response.statusCode ?? 0,
            timestamp: header("quanyu-timestamp"),
            signature: header("quanyu-signature"),
            body: Buffer.concat(parts),
          }),
        );
      });
      // For the whole exchange, not for a silence within it.
      const clock = setTimeout(() => request.destroy(new Error("no answer in time")), this.timeout);
      request.on("close", () => clearTimeout(clock));
      request.on("error", fail);
      request.end(raw);
    });
  }

  /** Asks again after 1, 2 and 4 s while no answer comes or the answer may differ soon. */
  private async patiently(method: string, target: string, body?: object): Promise<Answer> {
    const waits = [...RETRY_AFTER];
    while (true) {
      try {
        return await this.call(method, target, body);
      } catch (error) {
        if (!isWorthRepeating(error)) throw error;
        const wait = waits.shift();
        if (wait === undefined) {
          if (error instanceof Refused && error.outcome !== "not_applied") throw new NoAnswer(error.code);
          throw error;
        }
        await this.sleep(Math.max(wait, askedBy(error)));
      }
    }
  }

  /** Must not stay open: asked again until the service has said yes or no, or has not admitted us as often as a redemption is tried. */
  private async untilAnswered(orderId: string, verb: string, body: object): Promise<Answer> {
    let [wait, notAdmitted] = [RETRY_AFTER[0], 0];
    while (true) {
      let asked = 0;
      try {
        return await this.call("POST", `${pathOf(orderId)}/${verb}`, body);
      } catch (error) {
        notAdmitted = error instanceof NotAdmitted ? notAdmitted + 1 : 0;
        if (!isWorthRepeating(error) || notAdmitted > RETRY_AFTER.length) throw error;
        asked = askedBy(error);
      }
      await this.sleep(Math.max(wait, asked));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
  }
}

/** No answer, trouble on the service's side, a busy moment, or a clock that has just been set; other refusals are final answers. */
function isWorthRepeating(error: unknown): boolean {
  if (error instanceof NoAnswer) return true;
  const passing = ["rate_limited", "timestamp_out_of_range"];
  return error instanceof Refused && (error.status >= 500 || passing.includes(error.code));
}

function askedBy(error: unknown): number {
  return error instanceof Refused ? error.retryAfter : 0;
}

function pathOf(orderId: string): string {
  return `/v1/redemptions/${encodeURIComponent(orderId)}`;
}
