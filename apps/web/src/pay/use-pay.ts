// A run's pay for React: asked of the coordinator again and again while somebody looks.
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { AccountStanding } from "@manyhands/coordinator/settlement-desk";
import { useCallback, useEffect, useState } from "react";
import { askJson } from "../feed/http.ts";

const ASKS_AGAIN_MS = 3_000;

type Asked<T> = { readonly value: T | null; readonly trouble: string | null };
type Asking<T> = Asked<T> & { readonly refresh: () => void };

/** @param path null: there is nothing to ask yet */
function useAsked<T>(path: string | null, token: string | null): Asking<T> {
  const [asked, setAsked] = useState<Asked<T>>({ value: null, trouble: null });
  const [turn, setTurn] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new turn asks at once
  useEffect(() => {
    if (path === null) return;
    const ending = new AbortController();
    const ask = async (): Promise<void> => {
      if (document.visibilityState === "hidden") return;
      const answer = await askJson<T>(path, { token, signal: ending.signal });
      if (ending.signal.aborted) return;
      // What was known stays, with the reason why it is not newer.
      if (answer.ok) setAsked({ value: answer.value, trouble: null });
      else setAsked(({ value }) => ({ value, trouble: answer.error.message }));
    };
    void ask();
    const timer = setInterval(() => void ask(), ASKS_AGAIN_MS);
    return () => {
      clearInterval(timer);
      ending.abort();
    };
  }, [path, token, turn]);
  const refresh = useCallback(() => setTurn((before) => before + 1), []);
  return { ...asked, refresh };
}

export type PayAsking = Asking<PayTold>;

/** @param isPaid asks only for runs that pay */
export function usePay(runId: string, token: string | null, isPaid: boolean): PayAsking {
  return useAsked<PayTold>(isPaid ? `/runs/${runId}/pay` : null, token);
}

/** @param account 20 bytes in hex; null: none to ask for */
export function useAccount(
  runId: string,
  token: string | null,
  account: string | null,
): Asking<AccountStanding> {
  const path = account === null ? null : `/runs/${runId}/pay/accounts/${account}`;
  return useAsked<AccountStanding>(path, token);
}
