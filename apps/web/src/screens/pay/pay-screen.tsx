// Pay: what an account has earned in a run, where that money is and why; who is paid; the terms.

import { ok } from "@manyhands/base/result";
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { AccountStanding } from "@manyhands/coordinator/settlement-desk";
import type { ReactNode } from "react";
import { useDevice, useOwnWorkerId } from "../../device/use-device.ts";
import { joinLinkOf } from "../../feed/links.ts";
import type { RunView } from "../../feed/run-view.ts";
import { countText } from "../../format.ts";
import { payLines } from "../../pay/pay-numbers.ts";
import { useAccount, usePay } from "../../pay/use-pay.ts";
import { texts } from "../../texts.ts";
import { payTexts } from "../../texts-pay.ts";
import { Button, Card, classes, Empty, Meter, Notice, Title } from "../../ui/parts.tsx";
import { accountText } from "../../wallet/account.ts";
import { claimCall } from "../../wallet/calls.ts";
import { transact } from "../../wallet/transact.ts";
import { useErrand, useWallet } from "../../wallet/use-wallet.ts";
import { theWallet } from "../../wallet/wallet.ts";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { isAtWork } from "../contribute/is-at-work.ts";
import { useLook } from "../contribute/use-look.ts";
import { useThisRun } from "../use-this-run.ts";
import { PayeeCard } from "./payee-card.tsx";
import { BudgetNotice, LocalNote, sentence, TermsFields } from "./run-terms.tsx";
import { usePayout } from "./use-payout.ts";
import { ErrandNews } from "./wallet-parts.tsx";

export function PayScreen(): ReactNode {
  const { own } = payTexts;
  const { runId, token, view } = useThisRun();
  const { value: told } = usePay(runId, token, view.run?.pay !== undefined);
  if (isUnknown(view)) return <UnknownRun />;
  return (
    <div className="stack">
      <Title title={own.title}>{own.lead}</Title>
      <ConnectionNotice view={view} />
      {token === null ? <Notice>{texts.frame.needsLink}</Notice> : null}
      {view.run && !view.run.pay ? <Notice title={own.unpaid}>{own.unpaidWhy}</Notice> : null}
      {told ? <Told view={view} token={token} told={told} /> : null}
      {token !== null && !view.run ? <Meter value={null} label={texts.frame.loading} /> : null}
    </div>
  );
}

type ToldProps = {
  readonly view: RunView;
  readonly token: string | null;
  readonly told: PayTold;
};

function Told({ view, token, told }: ToldProps): ReactNode {
  const { runId } = view;
  const { terms } = payTexts;
  const device = useDevice();
  useLook(joinLinkOf(runId), runId, device);
  const payout = usePayout(runId);
  const wallet = useWallet();
  const workerId = useOwnWorkerId(runId);
  const worker = view.status?.workers.find((one) => one.workerId === workerId);
  const inLog = worker?.payTo ?? null;
  const account = payout.payout?.account ?? inLog ?? wallet.connected?.account ?? null;
  const standing = useAccount(runId, token, account);
  const tokens = view.status?.tokensCommitted ?? 0;
  return (
    <div className="grid two from-top">
      <OwnPay
        told={told}
        account={account}
        standing={standing.value}
        trouble={standing.trouble}
        points={inLog === null ? (worker?.credit ?? 0) : 0}
        onClaimed={standing.refresh}
      />
      <div className="stack">
        <PayeeCard
          {...{ runId, told, payout, inLog }}
          isAtWork={isAtWork(device) && device.runId === runId}
          isOver={view.status?.phase === "finished"}
        />
        <Card title={terms.title}>
          <TermsFields told={told} tokens={tokens} />
          <BudgetNotice told={told} tokens={tokens} />
          <LocalNote told={told} />
        </Card>
      </div>
    </div>
  );
}

type OwnPayProps = {
  readonly told: PayTold;
  readonly account: string | null;
  readonly standing: AccountStanding | null;
  /** Why it is not known, or not newer. */
  readonly trouble: string | null;
  /** Tokens of this device that nobody is paid for yet. */
  readonly points: number;
  readonly onClaimed: () => void;
};

function OwnPay(props: OwnPayProps): ReactNode {
  const { told, account, standing, trouble, points, onClaimed } = props;
  const { own } = payTexts;
  const isOurs = standing !== null && standing.account.toLowerCase() === `0x${account}`;
  return (
    <Card title={own.yours}>
      {account === null ? <Empty>{own.none}</Empty> : null}
      {account !== null ? <code className="address">{accountText(account)}</code> : null}
      {points > 0 ? <Notice>{own.points(countText(points))}</Notice> : null}
      {account !== null && told.standing && !isOurs && trouble === null ? (
        <Meter value={null} label={texts.frame.loading} />
      ) : null}
      {account !== null && told.standing && trouble !== null ? (
        <Notice kind="warn" title={own.asking}>
          {sentence(trouble)}
        </Notice>
      ) : null}
      {isOurs ? <Lines told={told} standing={standing} /> : null}
      {isOurs && standing.claim ? (
        <Claim told={told} standing={standing} onClaimed={onClaimed} />
      ) : null}
    </Card>
  );
}

type LinesProps = { readonly told: PayTold; readonly standing: AccountStanding };

function Lines({ told, standing }: LinesProps): ReactNode {
  return (
    <dl className="pay-lines">
      {payLines(told, standing).map(({ key, name, amount, why }) => (
        <div key={key} className={classes(key === "earned" && "lead")}>
          <dt>{name}</dt>
          <dd className="amount">{amount}</dd>
          <dd className="soft small why">{why}</dd>
        </div>
      ))}
    </dl>
  );
}

type ClaimProps = LinesProps & { readonly onClaimed: () => void };

/** Anybody may send it: it pays the account that the proof names. */
function Claim({ told, standing, onClaimed }: ClaimProps): ReactNode {
  const { own, wallet, owner } = payTexts;
  const { connected } = useWallet();
  const errand = useErrand();
  const { account, claim } = standing;
  const rewards = told.standing?.contracts.rewards;
  const id = told.standing?.onChain?.runId;
  if (!claim || rewards === undefined || id === undefined) return null;
  if (connected?.chainId !== told.terms.chain.chainId) {
    return <p className="soft small">{own.claimNeeds}</p>;
  }
  const send = (): void => {
    void errand.run(async (say) => {
      say(owner.steps.claim);
      const call = claimCall(rewards, id, account, claim);
      const sent = await transact(theWallet(), call, () => say(wallet.waiting));
      if (!sent.ok) return sent;
      onClaimed();
      return ok(own.claimed);
    });
  };
  return (
    <div className="stack tight">
      <div>
        <Button kind="main" disabled={errand.doing !== null} onClick={send}>
          {own.claim}
        </Button>
      </div>
      <ErrandNews errand={errand} />
    </div>
  );
}
