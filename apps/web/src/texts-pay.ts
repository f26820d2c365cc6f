// Words about money: what a run pays, what somebody has earned, wallets, and what an owner does.
// Apart from texts.ts because they are loaded with the screens of runs that pay.
import { clockTimeText, countText, groupedText } from "./format.ts";

const many = (count: number, one: string, more: string): string =>
  `${groupedText(count)} ${count === 1 ? one : more}`;

const terms = {
  title: "What it pays",
  perMillion: "A million of your tokens earn",
  perMillionHelp: "Accepted tokens count. Who provides the text or keeps it is paid besides.",
  budget: "Left of the budget",
  budgetOf: (left: string, all: string): string => `${left} of ${all}`,
  enough: (tokens: number): string => `enough for about ${countText(tokens)} more tokens`,
  notFunded: "Nobody has paid in yet",
  notFundedWhy:
    "What is earned is written down all the same. It is paid only if the run's owner pays in.",
  usedUp: "The budget is used up",
  usedUpWhy: "What is given from now on is paid only if more is paid in.",
  settles: "Settled",
  settlesEvery: (rounds: number): string => `every ${many(rounds, "round", "rounds")}`,
  attested: "Signed off by",
  attestors: (threshold: number, all: number): string =>
    all === 1 ? "1 attestor" : `${threshold} of ${all} attestors`,
  scored: "Usefulness scored by",
  validators: (count: number): string => many(count, "validator", "validators"),
  window: "Final after",
  immediately: "at once",
  shares: "Shares",
  sharesOf: (training: string, data: string, storage: string): string =>
    `training ${training}, data ${data}, storage ${storage}`,
  paidTo: "Paid to",
  nobody: "nobody yet",
  toPay: "Choose who is paid",
  toOwn: "Your pay",
  pointsOnly: "Without an account you earn points. Name one later, and they become its pay.",
  localTitle: "One operator's ledger",
  local:
    "This run pays on a local chain: one operator's tamper-evident ledger. Nothing in it can be " +
    "changed without leaving a trace, but nobody else keeps it. Its test token has no value.",
  chain: "Chain",
  chainId: (id: number): string => `number ${id}`,
  rpc: "For wallets on the coordinator's machine",
  registry: "Registry",
  token: "Token",
  trouble: "The chain's numbers are missing",
};

const own = {
  title: "Pay",
  lead: "What your devices have earned in this run, and where it is on its way to you.",
  unpaid: "This run pays nothing",
  unpaidWhy: "What you give is written down in its log. What a run pays is fixed before it begins.",
  yours: "Your account's pay",
  none: "No account is named yet.",
  points: (tokens: string): string =>
    `${tokens} tokens of this device wait for an account. The first that you name gets them all.`,
  earned: "Earned",
  earnedWhy: (price: string): string =>
    `Tokens that were accepted from this account's devices, at ${price} a million, by the log as ` +
    "it is now.",
  earnedScored: (price: string): string =>
    `Tokens of this account's devices as the run's validators have scored them, at ${price} a ` +
    "million, by the windows of rounds whose scores are known.",
  waits: "Not settled yet",
  waitsNothing: "Everything that was earned is in a settlement.",
  waitsNotMade: "The run is not on its chain yet. Its owner makes it there, and pays in.",
  waitsNotFunded: "Nobody has paid in yet.",
  waitsPaused: "The owner has paused the run on its chain.",
  waitsClosed: "The owner has finished the run on its chain: nothing more is settled.",
  waitsSignatures: (sequence: number, missing: number): string =>
    `Settlement ${sequence} waits for ${many(missing, "attestor", "attestors")} to sign.`,
  waitsPosting: (sequence: number): string => `Settlement ${sequence} is signed, and on its way.`,
  waitsRounds: (rounds: number): string =>
    `A settlement comes every ${many(rounds, "closed round", "closed rounds")}, as far as the ` +
    "budget goes.",
  pending: "Pending",
  pendingNothing: "Nothing is in a challenge window.",
  pendingWhy: (sequence: number, finalAt: number): string =>
    `In settlement ${sequence}, posted to the chain. Final at ${clockTimeText(finalAt)}, unless ` +
    "the attestors take it back before.",
  final: "Final",
  finalNothing: "Nothing waits to be paid out.",
  finalWhy:
    "Nobody can take it back. The coordinator pays it out by itself; anybody may do so before it.",
  paid: "Paid",
  paidNothing: "Nothing was paid out yet.",
  paidWhy: "The contract has sent it to this account.",
  claim: "Claim it now",
  claimNeeds:
    "To claim it yourself, connect a wallet under “Who is paid”. Any wallet will do: it goes to " +
    "this account.",
  claimed: "It is paid.",
  asking: "This account could not be looked up",
  noSettler: "From here on only the chain could tell, and it is not asked now.",
};

const payee = {
  title: "Who is paid",
  device: "This device",
  account: "Account",
  signed: "Its wallet has signed that this device works for it.",
  pasted: "You have named it; its wallet has signed nothing.",
  inLog: (account: string): string => `The run's log still says ${account}. `,
  fromNextJoin: "The run hears of it when this device joins the next time.",
  soon: "The run hears of it between two rounds.",
  tooLate: "This run is over and takes no joins any more: it cannot hear of this account.",
  change: "Change it",
  keep: "Keep it as it is",
  withWallet: "With a wallet",
  withWalletWhy:
    "It signs once that this device works for it. That costs nothing, moves nothing, and the " +
    "key stays in the wallet.",
  withPaste: "By its address",
  withPasteWhy:
    "Any account on this run's chain, also one that never signs: a hardware wallet in a drawer, " +
    "an exchange, a contract.",
  address: "Address",
  addressHelp: "0x and 40 digits, as your wallet shows it.",
  use: "Pay this account",
  problems: {
    form: "An address is 0x and 40 digits of 0–9 and a–f.",
    checksum: "A digit of it is wrong: its capitals do not fit. Copy it again.",
    nobody: "This is the zero address: it belongs to nobody.",
  },
  moved: "What was earned so far stays with the account that earned it.",
};

const wallet = {
  title: "Wallet",
  none: "No wallet has answered in this browser.",
  noneWhy:
    "Wallets are extensions or apps with a browser of their own. Without one, name the address.",
  connect: (name: string): string => `Connect ${name}`,
  connected: (name: string): string => `Connected with ${name}`,
  disconnect: "Disconnect",
  wrongChain: "Your wallet is on another network",
  wrongChainWhy: (theirs: number, ours: number): string =>
    `It is on chain ${theirs}; this run pays on chain ${ours}.`,
  switch: "Switch the wallet to it",
  chainName: "Manyhands local chain",
  addChain: (rpc: string, id: number): string =>
    `If the wallet does not know it: network address ${rpc}, chain number ${id}. ` +
    "It answers only on the computer that runs the coordinator.",
  delegate: "Let this device work for it",
  signing: "Your wallet asks you now.",
  waiting: "Waiting for the chain.",
  troubles: {
    rejected: "You said no in the wallet. Nothing has changed.",
    busy: "The wallet has an open question already. Look at it first.",
    "unknown-chain":
      "The wallet does not know this chain, and the page cannot tell it where it is. Add it in " +
      "the wallet by hand.",
    failed: (message: string): string => `The wallet could not: ${message}`,
  },
  foreign:
    "The wallet's signature is not of a plain account. A contract wallet cannot vouch for a " +
    "device: name its address instead.",
  otherSigner: "The wallet signed with another account than the one it showed.",
};

const owner = {
  title: "Pay",
  lead: "Money moves only by transactions of your own wallet. The coordinator holds none.",
  funded: "Paid in",
  paid: "Paid out",
  settled: "Final, paid or not",
  unspent: "Not settled to anybody",
  onChain: "On its chain",
  onChainAs: (id: number): string => `run ${id}`,
  notYet: "not yet",
  madeBy: "Owner on its chain",
  make: "Make the run on its chain",
  makeWhy:
    "Once, before paying in. Its terms are those of the run file, and the wallet that makes it " +
    "is its owner there: only that one can finish it, and take back what is left.",
  fund: "Pay in",
  amount: "Amount",
  amountHelp: (symbol: string): string =>
    `In ${symbol}. Two transactions: leave to take it, then the payment.`,
  amountWrong: (decimals: number): string =>
    `Write it as 250 or 0.5, with at most ${decimals} decimals.`,
  tooLittle: (has: string): string => `This wallet has ${has}.`,
  mint: "Make test money first",
  settle: "Settle now",
  settleWhy: "What was earned so far, without waiting for the next settlement.",
  finish: "Finish on its chain",
  finishWhy:
    "Settlements are taken for two more challenge windows, and none after. Settle, and let the " +
    "attestors sign, before you do it.",
  finishSure: "Finish for good? What is not settled within two challenge windows is never paid.",
  finishYes: "Finish",
  finishNo: "Keep it open",
  finishedAt: (at: number): string => `Finished at ${clockTimeText(at)}.`,
  reclaim: "Take back what is left",
  reclaimAt: (at: number): string => `Possible from ${clockTimeText(at)} on.`,
  notOwner: (account: string): string =>
    `Only ${account} can do this: it made the run on its chain. Connect that account, or use the ` +
    "manyhands pay command with its key.",
  steps: {
    make: "Making the run",
    mint: "Making test money",
    approve: "Giving leave to take it",
    fund: "Paying in",
    finish: "Finishing",
    reclaim: "Taking back",
    claim: "Claiming",
    settle: "Settling",
  },
  done: "Done.",
};

/** English. */
export const payTexts = { terms, own, payee, wallet, owner };
