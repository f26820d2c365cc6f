// One fuzz run of one target: seeded, counted, the first failure kept.
// No threads and no coverage guidance: simple enough that a failing seed repeats everywhere.
import type { Bytes } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import { randomBytes } from "./mutate.ts";
import type { Target } from "./targets.ts";

export type FuzzReport = {
  readonly target: string;
  readonly seed: number;
  readonly executions: number;
  readonly accepted: number;
  readonly refused: number;
  readonly failure: { readonly input: Bytes; readonly error: unknown } | undefined;
};

/**
 * Feeds valid, damaged and random inputs until `goOn` says no.
 *
 * @param goOn asked before each execution, with how many have been
 */
export function fuzz(
  target: Target,
  seed: number,
  goOn: (executions: number) => boolean,
): FuzzReport {
  const random = new Random(seed);
  const valid: Bytes[] = [...target.seeds];
  let [accepted, refused] = [0, 0];
  while (valid.length > 0 || goOn(accepted + refused)) {
    const seedInput = valid.shift();
    const input = seedInput ?? nextInput(random, target);
    try {
      const isAccepted = target.accepts(input);
      if (isAccepted) accepted += 1;
      else refused += 1;
      if (seedInput && !isAccepted) throw new Error("a valid input was refused");
    } catch (error) {
      const executions = accepted + refused;
      return {
        target: target.name,
        seed,
        executions,
        accepted,
        refused,
        failure: { input, error },
      };
    }
  }
  const executions = accepted + refused;
  return { target: target.name, seed, executions, accepted, refused, failure: undefined };
}

function nextInput(random: Random, target: Target): Bytes {
  return random.below(16) === 0 ? randomBytes(random) : target.mutate(random, target.seeds);
}

/** What is wrong with a finished run: a failure, or a run that shows nothing. */
export function reportProblem(report: FuzzReport): string | undefined {
  const { failure, accepted, refused } = report;
  if (failure) {
    const { error } = failure;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  if (accepted === 0) return "accepted nothing: the inputs never reach the inner parts";
  if (refused === 0) return "refused nothing: the inputs are not hostile, or the checks are off";
  return undefined;
}
