// A run's money in its owner's hands: make it on its chain, pay in, settle, finish, take back.
// Every payment is a transaction of the owner's own wallet; only settling is the coordinator's.
import { err, ok } from "@manyhands/base/result";
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { PayStanding } from "@manyhands/coordinator/settlement-desk";
import { type ReactNode, useState } from "react";
import { askJson } from "../../feed/http.ts";
import type { RunView } from "../../feed/run-view.ts";
import { amountText } from "../../format.ts";
import { isLocal, tokenWords } from "../../pay/pay-numbers.ts";
import { usePay } from "../../pay/use-pay.ts";
import { texts } from "../../texts.ts";
import { payTexts } from "../../texts-pay.ts";
import { Button, Card, type Field, Fields, Meter, Notice } from "../../ui/parts.tsx";
import { accountText, shortAccount } from "../../wallet/account.ts";
import { type Call, finishCall, reclaimCall } from "../../wallet/calls.ts";
import { transact } from "../../wallet/transact.ts";
import { type ErrandWork, useErrand } from "../../wallet/use-wallet.ts";
import { theWallet } from "../../wallet/wallet.ts";
import { BudgetNotice, LocalNote } from "../pay/run-terms.tsx";
import { type Connected, ErrandNews, WithWallet } from "../pay/wallet-parts.tsx";
import { FundForm } from "./fund-form.tsx";
import { MakeRun } from "./make-run.tsx";

export type OwnPayProps = { readonly view: RunView; readonly token: string };

type OnChain = NonNullable<PayStanding["onChain"]>;

export function OwnPay({ view, token }: OwnPayProps): ReactNode {
  const { owner } = payTexts;
  const { value: told, refresh } = usePay(view.runId, token, true);
  if (!told) {
    return (
      <Card title={owner.title} className="span">
        <Meter value={null} label={texts.frame.loading} />
      </Card>
    );
  }
  return (
    <Card title={owner.title} className="span">
      <p className="soft small">{owner.lead}</p>
      <div className="grid two from-top">
        <div className="stack tight">
          <Money told={told} />
          <BudgetNotice told={told} tokens={view.status?.tokensCommitted ?? 0} />
          {told.standing?.onChain ? <Settle {...{ view, token, refresh }} /> : null}
        </div>
        {told.standing ? (
          <WithWallet told={told}>
            {(connected) => <Deeds {...{ view, token, told, connected, refresh }} />}
          </WithWallet>
        ) : null}
      </div>
      <LocalNote told={told} />
    </Card>
  );
}

function Money({ told }: { readonly told: PayTold }): ReactNode {
  const { owner } = payTexts;
  const onChain = told.standing?.onChain;
  const words = tokenWords(told);
  const amount = (units: bigint): string => amountText(units, words);
  const fields: Field[] = [
    { name: owner.onChain, value: onChain ? owner.onChainAs(onChain.runId) : owner.notYet },
  ];
  if (onChain) {
    const [funded, settled, paid] = [onChain.funded, onChain.settled, onChain.paid].map(BigInt);
    fields.push(
      {
        name: owner.madeBy,
        value: <code>{shortAccount(onChain.owner.slice(2))}</code>,
      },
      { name: owner.funded, value: amount(funded ?? 0n) },
      { name: owner.settled, value: amount(settled ?? 0n) },
      { name: owner.paid, value: amount(paid ?? 0n) },
      { name: owner.unspent, value: amount((funded ?? 0n) - (settled ?? 0n)) },
    );
  }
  return <Fields fields={fields} />;
}

type SettleProps = OwnPayProps & { readonly refresh: () => void };

function Settle({ view, token, refresh }: SettleProps): ReactNode {
  const { owner } = payTexts;
  const errand = useErrand();
  const settle = (): void => {
    void errand.run(async (say) => {
      say(owner.steps.settle);
      const path = `/runs/${view.runId}/pay/settle`;
      const answer = await askJson<{ standing: string }>(path, { token, method: "POST" });
      refresh();
      return answer.ok ? ok(answer.value.standing) : failed(answer.error.message);
    });
  };
  return (
    <div className="stack tight">
      <div className="row wrap">
        <Button disabled={errand.doing !== null} onClick={settle}>
          {owner.settle}
        </Button>
        <span className="soft small">{owner.settleWhy}</span>
      </div>
      <ErrandNews errand={errand} />
    </div>
  );
}

function failed(message: string) {
  return err({ kind: "refused", message } as const);
}

type DeedsProps = SettleProps & { readonly told: PayTold; readonly connected: Connected };

function Deeds(props: DeedsProps): ReactNode {
  const { told, connected, refresh } = props;
  const { owner } = payTexts;
  const onChain = told.standing?.onChain ?? null;
  if (!onChain) return <MakeRun {...props} />;
  const isOwner = onChain.owner.toLowerCase() === `0x${connected.account}`;
  return (
    <div className="stack">
      {onChain.finishedAt === null ? (
        <FundForm
          registry={told.terms.chain.registry}
          token={told.terms.chain.token}
          words={tokenWords(told)}
          runId={onChain.runId}
          account={connected.account}
          mints={isLocal(told)}
          onFunded={refresh}
        />
      ) : null}
      {isOwner ? (
        <End {...props} onChain={onChain} />
      ) : (
        <p className="soft small">{owner.notOwner(accountText(onChain.owner.slice(2)))}</p>
      )}
    </div>
  );
}

type EndProps = DeedsProps & { readonly onChain: OnChain };

/** Finish, once; then what nobody has earned comes back. */
function End({ view, token, told, onChain, refresh }: EndProps): ReactNode {
  const { owner, wallet } = payTexts;
  const errand = useErrand();
  const [isSure, setSure] = useState(false);
  const { registry } = told.terms.chain;
  const send = (step: string, call: () => Promise<Call>): void => {
    setSure(false);
    const work: ErrandWork = async (say) => {
      say(step);
      const sent = await transact(theWallet(), await call(), () => say(wallet.waiting));
      refresh();
      return sent.ok ? ok(owner.done) : sent;
    };
    void errand.run(work);
  };
  const finish = (): void =>
    send(owner.steps.finish, async () =>
      finishCall(registry, onChain.runId, await weightsRoot(view, token)),
    );
  const reclaim = (): void =>
    send(owner.steps.reclaim, async () => reclaimCall(registry, onChain.runId));
  const isBusy = errand.doing !== null;
  const isLeft = BigInt(onChain.funded) > BigInt(onChain.settled);
  return (
    <div className="stack tight">
      {onChain.finishedAt !== null ? <p>{owner.finishedAt(onChain.finishedAt)}</p> : null}
      {onChain.finishedAt === null && !isSure ? (
        <div className="row wrap">
          <Button kind="bad" disabled={isBusy} onClick={() => setSure(true)}>
            {owner.finish}
          </Button>
          <span className="soft small">{owner.finishWhy}</span>
        </div>
      ) : null}
      {isSure ? <Sure onYes={finish} onNo={() => setSure(false)} /> : null}
      {onChain.reclaimableAt !== null && isLeft ? (
        <div className="row wrap">
          <Button disabled={isBusy} onClick={reclaim}>
            {owner.reclaim}
          </Button>
          <span className="soft small">{owner.reclaimAt(onChain.reclaimableAt)}</span>
        </div>
      ) : null}
      <ErrandNews errand={errand} />
    </div>
  );
}

type SureProps = { readonly onYes: () => void; readonly onNo: () => void };

function Sure({ onYes, onNo }: SureProps): ReactNode {
  const { owner } = payTexts;
  return (
    <Notice kind="warn" title={owner.finishSure}>
      <div className="row wrap">
        <Button kind="bad" onClick={onYes}>
          {owner.finishYes}
        </Button>
        <Button autoFocus onClick={onNo}>
          {owner.finishNo}
        </Button>
      </div>
    </Notice>
  );
}

/** What was trained: of the newest closed round, or what it began with. */
async function weightsRoot({ runId, status, run }: RunView, token: string): Promise<string> {
  const first = run?.initialWeightsRoot ?? "00".repeat(32);
  const round = (status?.round ?? 0) - 1;
  if (round < 0) return first;
  const path = `/runs/${runId}/rounds?from=${round}&limit=1`;
  const rounds = await askJson<readonly { weightsRoot: string }[]>(path, { token });
  return (rounds.ok ? rounds.value[0]?.weightsRoot : undefined) ?? first;
}
