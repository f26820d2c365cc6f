// Who is paid for what this browser's device gives: a wallet that signs once, or a pasted address.

import { err, ok } from "@manyhands/base/result";
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import { delegationHex, delegationTypedData } from "@manyhands/protocol/delegation";
import type { Payout } from "@manyhands/protocol/keys";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { theDevice } from "../../device/use-device.ts";
import { payTexts } from "../../texts-pay.ts";
import { Button, Card, Notice } from "../../ui/parts.tsx";
import { accountText, readAccount, shortAccount } from "../../wallet/account.ts";
import type { WalletAnswer } from "../../wallet/provider.ts";
import { useErrand } from "../../wallet/use-wallet.ts";
import { theWallet } from "../../wallet/wallet.ts";
import type { PayoutHook } from "./use-payout.ts";
import { type Connected, ErrandNews, WithWallet } from "./wallet-parts.tsx";

export type PayeeCardProps = {
  readonly runId: string;
  readonly told: PayTold;
  readonly payout: PayoutHook;
  /** Whom the run's log names for this device; null: nobody, or the device was never there. */
  readonly inLog: string | null;
  readonly isAtWork: boolean;
  /** It takes no joins any more. */
  readonly isOver: boolean;
};

export function PayeeCard(props: PayeeCardProps): ReactNode {
  const { payee } = payTexts;
  const { payout, choose } = props.payout;
  const [isChanging, setChanging] = useState(false);
  const chosen = async (next: Payout): Promise<void> => {
    await choose(next);
    setChanging(false);
  };
  return (
    <Card title={payee.title}>
      {payout === null ? null : <Chosen {...props} chosen={payout} />}
      {payout !== null && !isChanging ? (
        <div>
          <Button onClick={() => setChanging(true)}>{payee.change}</Button>
        </div>
      ) : (
        <Ways {...props} onChosen={chosen} isChange={payout !== null} />
      )}
      {payout !== null && isChanging ? (
        <div>
          <Button kind="bare" onClick={() => setChanging(false)}>
            {payee.keep}
          </Button>
        </div>
      ) : null}
    </Card>
  );
}

type ChosenProps = PayeeCardProps & { readonly chosen: Payout };

function Chosen({ chosen, inLog, isAtWork, isOver }: ChosenProps): ReactNode {
  const { payee } = payTexts;
  const { account, delegation } = chosen;
  const isTold = inLog === account;
  const before = inLog === null || isTold ? "" : payee.inLog(shortAccount(inLog));
  const when = isOver ? payee.tooLate : isAtWork ? payee.soon : payee.fromNextJoin;
  return (
    <>
      <code className="address lead">{accountText(account)}</code>
      <p className="soft">{delegation === null ? payee.pasted : payee.signed}</p>
      {isTold ? null : <Notice kind={isOver ? "warn" : "plain"}>{`${before}${when}`}</Notice>}
    </>
  );
}

type WaysProps = PayeeCardProps & {
  readonly onChosen: (payout: Payout) => Promise<void>;
  readonly isChange: boolean;
};

function Ways(props: WaysProps): ReactNode {
  const { payee } = payTexts;
  return (
    <div className="stack">
      {props.isChange ? <p className="soft">{payee.moved}</p> : null}
      <section className="stack tight">
        <h3>{payee.withWallet}</h3>
        <p className="soft small">{payee.withWalletWhy}</p>
        <WithWallet told={props.told}>
          {(connected) => <Delegate {...props} connected={connected} />}
        </WithWallet>
      </section>
      <section className="stack tight">
        <h3>{payee.withPaste}</h3>
        <p className="soft small">{payee.withPasteWhy}</p>
        <PasteForm onChosen={props.onChosen} />
      </section>
    </div>
  );
}

type DelegateProps = WaysProps & { readonly connected: Connected };

function Delegate({ runId, told, connected, onChosen }: DelegateProps): ReactNode {
  const { wallet } = payTexts;
  const errand = useErrand();
  const sign = (): void => {
    void errand.run(async () => {
      const signed = await delegated(runId, told, connected.account);
      if (signed.ok) await onChosen(signed.value);
      return signed.ok ? ok(null) : signed;
    });
  };
  return (
    <>
      <div>
        <Button kind="main" disabled={errand.doing !== null} onClick={sign}>
          {wallet.delegate}
        </Button>
      </div>
      <ErrandNews errand={errand} />
    </>
  );
}

/** Asks the wallet, and believes its signature only after the coordinator's own check. */
async function delegated(
  runId: string,
  { terms }: PayTold,
  account: string,
): Promise<WalletAnswer<Payout>> {
  const { wallet } = payTexts;
  const device = await theDevice().deviceId();
  const said = { chain: terms.chain, account, device, run: runId };
  const question = JSON.stringify(delegationTypedData(said));
  const answer = await theWallet().ask("eth_signTypedData_v4", [`0x${account}`, question]);
  if (!answer.ok) return answer;
  const delegation = delegationHex(String(answer.value));
  if (delegation === null) return err({ kind: "failed", message: wallet.foreign });
  const { delegationProblem } = await import("@manyhands/protocol/delegation-check");
  const problem = delegationProblem(said, delegation);
  if (problem !== null) return err({ kind: "failed", message: wallet.otherSigner });
  return ok({ account, delegation });
}

type PasteFormProps = { readonly onChosen: (payout: Payout) => Promise<void> };

function PasteForm({ onChosen }: PasteFormProps): ReactNode {
  const { payee } = payTexts;
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const account = readAccount(text);
    if (!account.ok) setProblem(payee.problems[account.error]);
    else await onChosen({ account: account.value, delegation: null });
  };
  return (
    <form className="stack tight" onSubmit={(event) => void submit(event)}>
      <label htmlFor={id}>{payee.address}</label>
      <input
        id={id}
        type="text"
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        value={text}
        aria-invalid={problem !== null}
        aria-describedby={`${id}-help`}
        onChange={(event) => {
          setText(event.target.value);
          setProblem(null);
        }}
      />
      <p className="soft small" id={`${id}-help`}>
        {payee.addressHelp}
      </p>
      {problem === null ? null : <Notice kind="bad">{problem}</Notice>}
      <div>
        <Button type="submit" disabled={text.trim() === ""}>
          {payee.use}
        </Button>
      </div>
    </form>
  );
}
