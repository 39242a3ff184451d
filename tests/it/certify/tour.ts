// Every call of the TypeScript client against a real server: tour.ts URL KEY_ID SECRET. Prints what came of each.

import { readFileSync } from "node:fs";
import { Refused, Reversed, Till, sign, signAnswer } from "../../../deploy/pos-clients/quanyu-pos.ts";
import type { Answer } from "../../../deploy/pos-clients/quanyu-pos.ts";

const [url, keyId, secret] = process.argv.slice(2);
const code = (ending: string) => `97999000000000${ending}`;
const sleep = async () => {};

async function refused(call: () => Promise<Answer>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Refused) return [error.status, error.code, error.outcome, Boolean(error.posMessage?.zh)];
    throw error;
  }
}

function vectors(): unknown {
  const known = JSON.parse(readFileSync(new URL("../../../deploy/pos-clients/vectors.json", import.meta.url), "utf8"));
  const requests: boolean[] = known.requests.map(
    (one: any) => sign(known.secret, one.method, one.target, one.timestamp, one.nonce, one.body) === one.signature,
  );
  const answers: boolean[] = known.answers.map(
    (one: any) => signAnswer(known.secret, one.status, one.timestamp, one.nonce, Buffer.from(one.body)) === one.signature,
  );
  return [requests.length, answers.length, [...requests, ...answers].every(Boolean)];
}

const till = new Till(url, keyId, secret, { sleep });
const fine = code("0015");
const goods = { category: "catering", amount: 6000 };
const out: Answer = { vectors: vectors() };
const quote = await till.quote({ ...goods, amount: 6400, pay_code: fine, merchant_discount: 800 });
out["quote"] = [quote.payable, quote.better.add_amount];
const receipt = { cashier: "王", receipt_no: "8" };
const held = await till.redeem("tour-1", { ...goods, amount: 11800, pay_code: fine, receipt });
out["hold"] = [held.state, held.payable];
out["confirm"] = (await till.confirm("tour-1", held.hold_id, 9800, "card 1")).state;
out["refund"] = (await till.refund("tour-1", "R1", 5900)).to_payer;
out["get"] = (await till.get("tour-1")).state;
const items = [{ sku: "tea", quantity: 2, amount: 6000 }];
await till.redeem("tour-9", { ...goods, pay_code: fine, items, capture: true });
out["items"] = (await till.refund("tour-9", "R1", undefined, [{ sku: "tea", quantity: 1 }])).to_payer;
await till.redeem("tour-2", { ...goods, pay_code: fine });
out["cancel"] = (await till.cancel("tour-2")).state;
out["error then ok"] = (await till.redeem("tour-3", { ...goods, pay_code: code("0080"), capture: true })).state;
out["answer lost"] = (await till.redeem("tour-4", { ...goods, pay_code: code("0098"), capture: true })).state;
out["reverse"] = (await till.reverse("tour-4")).was;
out["used"] = await refused(() => till.redeem("tour-5", { ...goods, pay_code: code("0023") }));
out["busy"] = await refused(() => till.redeem("tour-6", { ...goods, pay_code: code("0072") }));
out["unknown order"] = await refused(() => till.get("tour-7"));
const stranger = new Till(url, keyId, "sk_test_of_somebody_else", { sleep });
out["unsigned answer"] = await stranger.get("tour-1").catch((error) => error.constructor.name);
const rotated = new Till(url, keyId, ["sk_test_of_somebody_else", secret], { sleep });
out["wrong secret"] = await rotated.get("tour-1").catch((error) => error.constructor.name);
out["wrong secret at redeem"] = await rotated.redeem("tour-9", { ...goods, pay_code: fine }).catch((error) => error.constructor.name);
out["wrong secret at confirm"] = await rotated.confirm("tour-1", "h", 1).catch((error) => error.constructor.name);
const slow = new Till(url, keyId, secret, { sleep, clock: () => 1_600_000_000_000 });
out["slow clock"] = (await slow.get("tour-1")).state;
const nobody = new Till("http://127.0.0.1:9", keyId, secret, { sleep, timeout: 200 });
nobody.reverse = (orderId, reason) => till.reverse(orderId, reason);
try {
  await nobody.redeem("tour-8", { ...goods, pay_code: fine });
} catch (error) {
  if (!(error instanceof Reversed)) throw error;
  out["never answered"] = [error.orderId, error.answer.was];
}
console.log(JSON.stringify(out));
