// Paying in: an amount, leave for the registry to take it, and the payment. On a local chain the
// test money for it is made first, if wanted.
import { err, ok } from "@manyhands/base/result";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { amountIn, amountText, type TokenWords } from "../../format.ts";
import { payTexts } from "../../texts-pay.ts";
import { Button, Switch } from "../../ui/parts.tsx";
import {
  allowanceCall,
  approveCall,
  balanceCall,
  type Call,
  fundCall,
  mintCall,
} from "../../wallet/calls.ts";
import type { WalletAnswer } from "../../wallet/provider.ts";
import { read, transact } from "../../wallet/transact.ts";
import { useErrand } from "../../wallet/use-wallet.ts";
import { theWallet } from "../../wallet/wallet.ts";
import { ErrandNews } from "../pay/wallet-parts.tsx";

export type FundFormProps = {
  readonly registry: string;
  readonly token: string;
  readonly words: TokenWords;
  /** On its chain. */
  readonly runId: number;
  readonly account: string;
  /** Whether the token is one that anybody may make. */
  readonly mints: boolean;
  readonly onFunded: () => void;
};

type Step = { readonly words: string; readonly call: Call };

export function FundForm(props: FundFormProps): ReactNode {
  const { owner } = payTexts;
  const { words, mints, onFunded } = props;
  const errand = useErrand();
  const [text, setText] = useState("");
  const [isMinted, setMinted] = useState(mints);
  const id = useId();
  const fund = (event: FormEvent): void => {
    event.preventDefault();
    void errand.run(async (say) => {
      const amount = amountIn(text, words.decimals);
      if (amount === null || amount === 0n) return refused(owner.amountWrong(words.decimals));
      const paid = await payIn({ ...props, mints: isMinted }, amount, say);
      onFunded();
      return paid;
    });
  };
  return (
    <form className="stack tight" onSubmit={fund}>
      <label htmlFor={id}>{owner.amount}</label>
      <input
        id={id}
        type="text"
        inputMode="decimal"
        autoComplete="off"
        value={text}
        aria-describedby={`${id}-help`}
        onChange={(event) => setText(event.target.value)}
      />
      <p className="soft small" id={`${id}-help`}>
        {owner.amountHelp(words.symbol)}
      </p>
      {mints ? <Switch label={owner.mint} checked={isMinted} onChange={setMinted} /> : null}
      <div>
        <Button kind="main" type="submit" disabled={errand.doing !== null || text.trim() === ""}>
          {owner.fund}
        </Button>
      </div>
      <ErrandNews errand={errand} />
    </form>
  );
}

async function payIn(
  { registry, token, words, runId, account, mints }: FundFormProps,
  amount: bigint,
  say: (words: string) => void,
): Promise<WalletAnswer<string>> {
  const { owner, wallet } = payTexts;
  const has = (await read(theWallet(), balanceCall(token, account))) ?? 0n;
  if (has < amount && !mints) return refused(owner.tooLittle(amountText(has, words)));
  const steps: Step[] = [];
  if (has < amount) {
    steps.push({ words: owner.steps.mint, call: mintCall(token, account, amount - has) });
  }
  // What an earlier attempt was allowed counts; some tokens refuse to change it but to nothing.
  const allowed = (await read(theWallet(), allowanceCall(token, account, registry))) ?? 0n;
  const leaves = allowed >= amount ? [] : allowed === 0n ? [amount] : [0n, amount];
  for (const leave of leaves) {
    steps.push({ words: owner.steps.approve, call: approveCall(token, registry, leave) });
  }
  steps.push({ words: owner.steps.fund, call: fundCall(registry, runId, amount) });
  for (const step of steps) {
    say(step.words);
    const sent = await transact(theWallet(), step.call, () => say(wallet.waiting));
    if (!sent.ok) return sent;
  }
  return ok(owner.done);
}

function refused(message: string) {
  return err({ kind: "refused", message } as const);
}
