// Validators with real keys for tests: what they commit to and reveal, signed.
import { hashOf, TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import {
  commitmentOf,
  commitTypedData,
  revealTypedData,
  type ScoreCommit,
  type ScoreReveal,
  type Scores,
} from "../scores/messages.ts";
import {
  openWindow,
  placeOf,
  replayTranscript,
  type ScoreTerms,
  type ScoreWindow,
  sealCommits,
  sealIn,
  takeCommit,
  transcriptOf,
} from "../scores/score-window.ts";

type Place = Pick<ScoreWindow, "window" | "lastRound">;

export class TestValidator {
  readonly wallet: PrivateKeyAccount;
  readonly validator: string;
  readonly #salt: string;

  constructor(name: string) {
    this.wallet = privateKeyToAccount(`0x${hashOf(`validator ${name}`)}`);
    this.validator = this.wallet.address.slice(2).toLowerCase();
    this.#salt = hashOf(`salt of ${name}`);
  }

  async commit(terms: ScoreTerms, window: Place, scores: Scores): Promise<ScoreCommit> {
    const place = placeOf(terms, window);
    const { validator } = this;
    const commitment = commitmentOf(place, { validator, scores, salt: this.#salt });
    return this.commitTo(terms, window, commitment);
  }

  async commitTo(terms: ScoreTerms, window: Place, commitment: string): Promise<ScoreCommit> {
    const { validator } = this;
    const typed = commitTypedData(placeOf(terms, window), { validator, commitment });
    return { validator, commitment, signature: plain(await this.wallet.signTypedData(typed)) };
  }

  async reveal(terms: ScoreTerms, window: ScoreWindow, scores: Scores): Promise<ScoreReveal> {
    const opened = { validator: this.validator, scores, salt: this.#salt };
    const place = placeOf(terms, window);
    const said = { validator: this.validator, commitment: commitmentOf(place, opened) };
    const typed = revealTypedData(place, said, sealIn(terms, window));
    return { ...opened, signature: plain(await this.wallet.signTypedData(typed)) };
  }
}

/** In the order of their accounts, as terms list them. */
export const VALIDATORS = ["ada", "bob", "cyd"]
  .map((name) => new TestValidator(name))
  .sort((a, b) => (a.validator < b.validator ? -1 : 1));

/** Windows of three rounds; stakes of 1 each. */
export const SCORED_PAY = {
  ...TEST_PAY,
  scores: { validators: VALIDATORS.map(({ validator }) => ({ account: validator, stake: 1 })) },
};

/** A whole window as it goes when everybody comes; null scores: that one stays away. */
export async function playedWindow(
  terms: ScoreTerms,
  place: Place,
  said: readonly (Scores | null)[],
): Promise<ReturnType<typeof transcriptOf>> {
  let window = openWindow(place.window, place.lastRound);
  const opinions = VALIDATORS.flatMap((validator, i) => {
    const scores = said[i];
    return scores ? [{ validator, scores }] : [];
  });
  for (const { validator, scores } of opinions) {
    const taken = takeCommit(terms, window, await validator.commit(terms, place, scores));
    if (taken.ok) window = taken.value;
  }
  window = sealCommits(window);
  const reveals: ScoreReveal[] = [];
  for (const { validator, scores } of opinions) {
    reveals.push(await validator.reveal(terms, window, scores));
  }
  const transcript = { ...transcriptOf(window), reveals };
  const replayed = replayTranscript(terms, transcript);
  return replayed.ok ? transcriptOf(replayed.value) : transcript;
}

function plain(signature: string): string {
  return signature.slice(2);
}
