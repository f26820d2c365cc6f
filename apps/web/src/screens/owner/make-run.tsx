// The run on its chain, made by its owner's wallet; then the coordinator is told by which
// transaction. It is kept until then: a page that is closed in between makes no second run.
import { err, ok } from "@manyhands/base/result";
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import { type ReactNode, useEffect } from "react";
import { ask } from "../../feed/http.ts";
import type { RunView } from "../../feed/run-view.ts";
import { payTexts } from "../../texts-pay.ts";
import { Button } from "../../ui/parts.tsx";
import { createRunCall } from "../../wallet/calls.ts";
import type { WalletAnswer } from "../../wallet/provider.ts";
import { transact } from "../../wallet/transact.ts";
import { useErrand } from "../../wallet/use-wallet.ts";
import { theWallet } from "../../wallet/wallet.ts";
import { ErrandNews } from "../pay/wallet-parts.tsx";

const PLACE = "manyhands.made.";

export type MakeRunProps = {
  readonly view: RunView;
  /** The owner's. */
  readonly token: string;
  readonly told: PayTold;
  readonly refresh: () => void;
};

export function MakeRun({ view, token, told, refresh }: MakeRunProps): ReactNode {
  const { owner, wallet } = payTexts;
  const { runId } = view;
  const errand = useErrand();
  const { run } = errand;
  useEffect(() => {
    const transaction = keptTransaction(runId);
    if (transaction === null) return;
    void run(async (say) => {
      say(payTexts.owner.steps.make);
      const made = await adopted(runId, token, transaction);
      refresh();
      return made;
    });
  }, [runId, token, run, refresh]);
  const make = (): void => {
    void run(async (say) => {
      const call = createRunCall(told.terms.chain.registry, runId, told.terms);
      const sent = await transact(theWallet(), call, (transaction) => {
        keepTransaction(runId, transaction);
        say(wallet.waiting);
      });
      if (!sent.ok) return sent;
      say(owner.steps.make);
      const made = await adopted(runId, token, sent.value);
      refresh();
      return made;
    });
  };
  return (
    <div className="stack tight">
      <p className="soft small">{owner.makeWhy}</p>
      <div>
        <Button kind="main" disabled={errand.doing !== null} onClick={make}>
          {owner.make}
        </Button>
      </div>
      <ErrandNews errand={errand} />
    </div>
  );
}

/** Twelve blocks of the slowest chains, and some. */
const TRIES = 600;
const TRIES_AGAIN_MS = 2_000;

/** The coordinator waits for as many blocks as it was told to. */
async function adopted(
  runId: string,
  token: string,
  transaction: string,
): Promise<WalletAnswer<string>> {
  const body = JSON.stringify({ transaction });
  for (let tries = 1; ; tries++) {
    const answer = await ask(`/runs/${runId}/pay/run`, { token, method: "POST", body });
    if (answer.ok) {
      keepTransaction(runId, null);
      return ok(payTexts.owner.done);
    }
    const { kind, message } = answer.error;
    if (tries < TRIES && (kind === "away" || /ask again/.test(message))) {
      await new Promise((resolve) => setTimeout(resolve, TRIES_AGAIN_MS));
      continue;
    }
    // It is not this run, or it failed: the next attempt is a new one.
    if (kind === "failed") keepTransaction(runId, null);
    return err({ kind: "refused", message });
  }
}

function keptTransaction(runId: string): string | null {
  try {
    return localStorage.getItem(PLACE + runId);
  } catch {
    return null; // a private window
  }
}

function keepTransaction(runId: string, transaction: string | null): void {
  try {
    if (transaction === null) localStorage.removeItem(PLACE + runId);
    else localStorage.setItem(PLACE + runId, transaction);
  } catch {
    // Without storage the page has to stay open until the coordinator knows.
  }
}
