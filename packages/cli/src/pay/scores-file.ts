// A validator's scores as a person has them, a JSON file by worker id; and as they are committed
// to. Not how they were measured.
import { readFile } from "node:fs/promises";
import { compareText } from "@manyhands/base/bytes";
import { hex, integer, problemText } from "@manyhands/base/decode";
import { InputError, messageOf } from "@manyhands/base/errors";
import type { Scores } from "@manyhands/chain/scores/messages";
import type { WorkerId } from "@manyhands/protocol/keys";
import { SCORE_MAX } from "@manyhands/protocol/limits";

type ScoreMap = ReadonlyMap<WorkerId, number>;

/** @throws InputError if it is not an object of whole numbers by worker id */
export async function readScores(path: string): Promise<ScoreMap> {
  const hint = `Write it as {"<worker id>": 7, …}: whole numbers from 0 to ${SCORE_MAX}.`;
  const content = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new InputError(`${path} cannot be read: ${messageOf(cause)}`, { cause, hint });
  });
  const found = jsonOf(content);
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new InputError(`${path} holds no scores`, { hint });
  }
  const scores = new Map<WorkerId, number>();
  const [idOf, scoreOf] = [hex(32), integer(0, SCORE_MAX)];
  for (const [key, value] of Object.entries(found)) {
    const [worker, score] = [idOf(key, ["worker"]), scoreOf(value, [key])];
    if (!worker.ok) throw new InputError(`${path}: ${problemText(worker.error)}`, { hint });
    if (!score.ok) throw new InputError(`${path}: ${problemText(score.error)}`, { hint });
    scores.set(worker.value, score.value);
  }
  return scores;
}

/**
 * What is committed to: of workers that gave something in the window, ascending, none of 0.
 *
 * @param accepted tokens of the window, by worker
 * @param given by the person; null: accepted tokens are the scores, scaled if there are too many
 */
export function scoresFor(accepted: ScoreMap, given: ScoreMap | null): Scores {
  const by = given ?? accepted;
  const workers = [...accepted.keys()].sort(compareText);
  const largest = Math.max(1, ...workers.map((worker) => by.get(worker) ?? 0));
  const scale = largest > SCORE_MAX ? SCORE_MAX / largest : 1;
  return workers
    .map((worker) => ({ worker, score: Math.floor((by.get(worker) ?? 0) * scale) }))
    .filter(({ score }) => score > 0);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whoever asked says what was expected.
    return null;
  }
}
