// Loaded before the command line itself (node --import): kills its process, with the signal that
// nobody can catch, at each step of a settlement's transactions, as often as it was told to.
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ChainClient } from "@manyhands/chain/settle/client";
import { Journal } from "@manyhands/chain/settle/journal";
import { CRASH_FOLDER, CRASH_TIMES, type CrashStep } from "./crash-orders.ts";

const folder = process.env[CRASH_FOLDER];
const times = Number(process.env[CRASH_TIMES] ?? 0);

/** What the sender works on. */
let purpose = "";

/** Each mark is a file, so that the next process knows that this death has been died. */
function die(step: CrashStep): void {
  if (folder === undefined || !/^(post|claim):/.test(purpose)) return;
  const mark = join(folder, `died-${step}-${purpose.replaceAll(":", "-")}`);
  const before = readdirSync(folder).filter((name) => name.startsWith(`died-${step}-`));
  if (before.length >= times || existsSync(mark)) return;
  writeFileSync(mark, "");
  process.kill(process.pid, "SIGKILL");
}

const { estimate, send } = ChainClient.prototype;
const { attempts, putState, putTransaction } = Journal.prototype;

ChainClient.prototype.estimate = function (given, call) {
  purpose = given;
  die("before-signing");
  return estimate.call(this, given, call);
};
Journal.prototype.putTransaction = function (given) {
  putTransaction.call(this, given);
  die("signed");
};
Journal.prototype.attempts = function (one) {
  ({ purpose } = one);
  return attempts.call(this, one);
};
ChainClient.prototype.send = async function (raw) {
  const answer = await send.call(this, raw);
  die("sent");
  return answer;
};
Journal.prototype.putState = function (hash, state) {
  if (state === "mined") die("mined");
  putState.call(this, hash, state);
  if (state === "mined") die("stored");
};
