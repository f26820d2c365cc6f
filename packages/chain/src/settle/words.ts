// What the contracts' errors mean, for people. Not when they come: contracts/src.

const PROBLEMS = ["nothing", "its proof is wrong", "nothing is due", "it is over the final total"];

type Words = (args: readonly unknown[]) => string;

const WORDS: Readonly<Record<string, Words>> = {
  NoSuchRun: ([id]) => `there is no run ${id} in this registry`,
  NotOwner: ([, caller]) => `${caller} is not the run's owner`,
  BadAttestors: () => "its attestors are out of order, or their threshold is impossible",
  BadToken: ([token]) => `there is no token at ${token}`,
  BadWindow: ([window]) => `a challenge window of ${window} s is too long`,
  AlreadyFinished: () => "the run is finished on its chain already",
  NotFinished: () => "the run is not finished on its chain",
  TooEarly: ([at]) =>
    `not before ${timeText(at)}: until then settlements may come or be challenged`,
  NothingReceived: () => "the token moved nothing",
  NothingUnspent: () => "nothing is left to take back",
  NothingPending: () => "no settlement is in its challenge window",
  RunClosed: () => "the run takes no settlements: it is paused, or finished for too long",
  WrongSequence: ([expected, found]) => `settlement ${expected} is next, this is ${found}`,
  WindowOpen: ([at]) => `the one before can be challenged until ${timeText(at)}`,
  FallingTotal: ([last, found]) => `credits only rise: ${last} are settled, this says ${found}`,
  OverBudget: ([funded, found]) => `the run is funded with ${funded}, this says ${found}`,
  UnknownAttestors: () => "the run has other attestors on its chain",
  TooFewSignatures: ([threshold, found]) => `${threshold} attestors must sign, ${found} have`,
  WrongSigner: ([index]) => `signature ${index} is not that attestor's, of this settlement`,
  UnorderedSignatures: () => "an attestor's signature is there twice",
  ClaimFailed: ([problem]) => PROBLEMS[Number(problem)] ?? "the token refuses the receiver",
  ERC20InsufficientBalance: ([, has, needs]) => `the account has ${has} units, not ${needs}`,
  ERC20InsufficientAllowance: ([, has, needs]) => `${has} units are allowed, not ${needs}`,
};

function timeText(seconds: unknown): string {
  return `${new Date(Number(seconds) * 1_000).toISOString().slice(0, 19)}Z`;
}

/** An error of the contracts in words, with its name for those who know it. */
export function errorText(name: string, args: readonly unknown[]): string {
  const words = Object.hasOwn(WORDS, name) ? WORDS[name]?.(args) : undefined;
  const plain = `${name}(${args.map(String).join(", ")})`;
  return words === undefined ? plain : `${words} (${plain})`;
}
