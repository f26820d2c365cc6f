// Before and while somebody takes part: what a run pays, what is left of it, and who is paid.
import type { ReactNode } from "react";
import { Link } from "wouter";
import { useOwnWorkerId } from "../../device/use-device.ts";
import { tokenOf } from "../../feed/links.ts";
import type { RunView } from "../../feed/run-view.ts";
import { usePay } from "../../pay/use-pay.ts";
import { texts } from "../../texts.ts";
import { payTexts } from "../../texts-pay.ts";
import { Card, Meter } from "../../ui/parts.tsx";
import { shortAccount } from "../../wallet/account.ts";
import { BudgetNotice, LocalNote, TermsFields } from "./run-terms.tsx";
import { usePayout } from "./use-payout.ts";

export function PayCard({ view }: { readonly view: RunView }): ReactNode {
  const { terms } = payTexts;
  const { runId } = view;
  const { value: told } = usePay(runId, tokenOf(runId), true);
  const { payout } = usePayout(runId);
  const own = useOwnWorkerId(runId);
  const inLog = view.status?.workers.find(({ workerId }) => workerId === own)?.payTo ?? null;
  const account = payout?.account ?? inLog;
  if (!told) {
    return (
      <Card title={terms.title}>
        <Meter value={null} label={texts.frame.loading} />
      </Card>
    );
  }
  return (
    <Card title={terms.title}>
      <TermsFields
        told={told}
        tokens={view.status?.tokensCommitted ?? 0}
        isShort
        more={[
          {
            name: terms.paidTo,
            value: account === null ? terms.nobody : <code>{shortAccount(account)}</code>,
          },
        ]}
      />
      <BudgetNotice told={told} tokens={view.status?.tokensCommitted ?? 0} />
      {account === null ? <p className="soft small">{terms.pointsOnly}</p> : null}
      <div>
        <Link className="button" href={`/runs/${runId}/pay`}>
          {account === null ? terms.toPay : terms.toOwn}
        </Link>
      </div>
      <LocalNote told={told} />
    </Card>
  );
}
