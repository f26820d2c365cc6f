// The page's wallet for React, and questions to it with what became of them.
import { useCallback, useState, useSyncExternalStore } from "react";
import { payTexts } from "../texts-pay.ts";
import type { WalletAnswer, WalletTrouble } from "./provider.ts";
import { theWallet, type WalletView } from "./wallet.ts";

export function useWallet(): WalletView {
  const source = theWallet();
  return useSyncExternalStore(source.subscribe, source.view);
}

export function troubleText({ kind, message }: WalletTrouble): string {
  const { troubles } = payTexts.wallet;
  if (kind === "refused") return message;
  return kind === "failed" ? troubles.failed(message) : troubles[kind];
}

export type Errand = {
  /** What is being done, in words; null while nothing is. */
  readonly doing: string | null;
  readonly problem: string | null;
  readonly done: string | null;
  /** @param work says what it does; its answer's value is what is told at the end, if anything */
  readonly run: (work: ErrandWork) => Promise<void>;
};

export type ErrandWork = (say: (words: string) => void) => Promise<WalletAnswer<string | null>>;

/** One thing at a time that the wallet, or the chain, is asked to do. */
export function useErrand(): Errand {
  const [doing, setDoing] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const run = useCallback(async (work: ErrandWork) => {
    setProblem(null);
    setDone(null);
    setDoing(payTexts.wallet.signing);
    const answer = await work(setDoing);
    setDoing(null);
    if (answer.ok) setDone(answer.value);
    else setProblem(troubleText(answer.error));
  }, []);
  return { doing, problem, done, run };
}
