// One fuzz run of one target: seeded, counted, the first failure kept.
// No threads and no coverage guidance: simple enough that a failing seed repeats everywhere.
import { type Bytes, equalBytes } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import { randomBytes } from "./mutate.ts";
import type { Target } from "./targets.ts";

export type FuzzReport = {
  readonly target: string;
  readonly seed: number;
  readonly executions: number;
  readonly accepted: number;
  /** Of the accepted, those that are no longer one of the valid inputs. */
  readonly acceptedChanged: number;
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
  let [accepted, acceptedChanged, refused] = [0, 0, 0];
  const report = (failure: FuzzReport["failure"]): FuzzReport => {
    const executions = accepted + refused;
    return { target: target.name, seed, executions, accepted, acceptedChanged, refused, failure };
  };
  while (valid.length > 0 || goOn(accepted + refused)) {
    const sample = valid.shift();
    const input = sample ?? nextInput(random, target);
    try {
      if (target.accepts(input)) {
        accepted += 1;
        if (!target.seeds.some((one) => equalBytes(one, input))) acceptedChanged += 1;
      } else {
        if (sample) throw new Error("a valid input was refused");
        refused += 1;
      }
    } catch (error) {
      return report({ input, error });
    }
  }
  return report(undefined);
}

function nextInput(random: Random, target: Target): Bytes {
  return random.below(16) === 0 ? randomBytes(random) : target.mutate(random, target.seeds);
}

/** What is wrong with a finished run: a failure, or a run that shows nothing. */
export function reportProblem(report: FuzzReport): string | undefined {
  const { failure, acceptedChanged, refused } = report;
  if (failure) {
    const { error } = failure;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  if (acceptedChanged === 0) return "accepted only the valid inputs that it started from";
  if (refused === 0) return "refused nothing: the inputs are not hostile, or the checks are off";
  return undefined;
}
