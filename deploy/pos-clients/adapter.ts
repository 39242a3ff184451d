// The adapter by which `quanyu pos-certify` drives quanyu-pos.ts: one JSON object a line in, one out. Write the same for your POS.

import { createInterface } from "node:readline";
import { Refused, Reversed, Till } from "./quanyu-pos.ts";
import type { Answer } from "./quanyu-pos.ts";

type Command = { [member: string]: any };

/** A small POS system: it names its orders, keeps them, and tells the cashier what happened. */
class Pos {
  till!: Till;
  clockOffset = 0;
  orders = new Map<string, string>();

  setup({ url, key_id, secret, pace = 1 }: Command): Answer {
    this.till = new Till(url, key_id, secret, {
      clock: () => Date.now() + this.clockOffset,
      sleep: (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds * pace)),
    });
    return { name: "quanyu-pos.ts", version: "1" };
  }

  async sale({ sale, amount, category, pay_code, mode, payment, merchant_discount = 0 }: Command): Promise<Answer> {
    // A real system keeps this on disk before the first call, so that a restart repeats and does not begin anew.
    const orderId = this.orders.get(sale) ?? `TS-${sale}`;
    this.orders.set(sale, orderId);
    try {
      const purchase = { amount, category, pay_code, merchant_discount, capture: mode === "capture" };
      let answer = await this.till.redeem(orderId, purchase);
      if (mode === "hold") answer = await this.takePayment(orderId, answer, payment);
      return { order_id: orderId, state: answer.state, payable: answer.payable, pos_message: answer.pos_message };
    } catch (error) {
      if (error instanceof Reversed) return { order_id: orderId, state: "reversed", pos_message: error.posMessage };
      return { order_id: orderId, ...refusal(error) };
    }
  }

  takePayment(orderId: string, held: Answer, payment: string): Promise<Answer> {
    if (payment === "declined") return this.till.cancel(orderId);
    return this.till.confirm(orderId, held.hold_id, held.payable);
  }

  async refund({ sale, refund, amount }: Command): Promise<Answer> {
    try {
      const answer = await this.till.refund(this.orders.get(sale)!, `R-${refund}`, amount);
      return { state: "refunded", to_payer: answer.to_payer, pos_message: answer.pos_message };
    } catch (error) {
      return refusal(error);
    }
  }

  rotate({ secret }: Command): Answer {
    this.till.rotate(secret);
    return {};
  }

  clock({ offset_seconds }: Command): Answer {
    this.clockOffset = offset_seconds * 1_000;
    return {};
  }
}

function refusal(error: unknown): Answer {
  if (error instanceof Refused) return { state: "refused", code: error.code, pos_message: error.posMessage };
  throw error;
}

const pos = new Pos();
const verbs: { [name: string]: (command: Command) => Answer | Promise<Answer> } = {
  setup: (command) => pos.setup(command),
  sale: (command) => pos.sale(command),
  refund: (command) => pos.refund(command),
  rotate: (command) => pos.rotate(command),
  clock: (command) => pos.clock(command),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  console.log(JSON.stringify(await verbs[command.do](command)));
}
