// The terms of a run's pay in words, what is left, and the note on a local chain.
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { ReactNode } from "react";
import { amountText, durationText, shareText } from "../../format.ts";
import { budgetOf, isLocal, tokenWords, trainingPrice } from "../../pay/pay-numbers.ts";
import { payTexts } from "../../texts-pay.ts";
import { type Field, Fields, Notice } from "../../ui/parts.tsx";
import { accountText } from "../../wallet/account.ts";

export type TermsProps = {
  readonly told: PayTold;
  /** Of the run so far. */
  readonly tokens: number;
};

export type TermsFieldsProps = TermsProps & {
  /** Without what only some want to know. */
  readonly isShort?: boolean;
  readonly more?: readonly Field[];
};

export function TermsFields(props: TermsFieldsProps): ReactNode {
  const { told, tokens, isShort = false, more = [] } = props;
  const { terms } = payTexts;
  const { attestors, threshold } = told.terms;
  const budget = budgetOf(told, tokens);
  const words = tokenWords(told);
  const first: Field[] = [
    { name: terms.perMillion, value: amountText(trainingPrice(told.terms), words) },
  ];
  if (budget && budget.funded > 0n) {
    const [left, all] = [budget.left, budget.funded].map((units) => amountText(units, words));
    first.push({
      name: terms.budget,
      value: (
        <>
          {terms.budgetOf(left ?? "", all ?? "")}
          <span className="soft small under">{terms.enough(budget.tokens)}</span>
        </>
      ),
    });
  }
  first.push({
    name: terms.attested,
    value: terms.attestors(threshold, attestors.length),
  });
  return <Fields fields={[...first, ...(isShort ? [] : longer(told)), ...more]} />;
}

function longer({ terms: pay, standing }: PayTold): readonly Field[] {
  const { terms } = payTexts;
  const { shares, chain, scores, settleEvery, challengeWindowSeconds: window } = pay;
  const judges = scores
    ? [{ name: terms.scored, value: terms.validators(scores.validators.length) }]
    : [];
  const [training = "", data = "", storage = ""] = (
    ["trainingBps", "dataBps", "storageBps"] as const
  ).map((share) => shareText(shares[share] / 10_000));
  const address = (hex: string): ReactNode => <code className="address">{accountText(hex)}</code>;
  return [
    { name: terms.shares, value: terms.sharesOf(training, data, storage) },
    ...judges,
    { name: terms.settles, value: terms.settlesEvery(settleEvery) },
    { name: terms.window, value: window === 0 ? terms.immediately : durationText(window * 1_000) },
    { name: terms.chain, value: terms.chainId(chain.chainId) },
    ...(standing?.localRpc
      ? [{ name: terms.rpc, value: <code className="address">{standing.localRpc}</code> }]
      : []),
    { name: terms.registry, value: address(chain.registry) },
    { name: terms.token, value: address(chain.token) },
  ];
}

/** Says that there is nothing, or nothing more, to be paid from; and that nobody could be asked. */
export function BudgetNotice({ told, tokens }: TermsProps): ReactNode {
  const { terms } = payTexts;
  if (told.trouble !== null) {
    return (
      <Notice kind="warn" title={terms.trouble}>
        {sentence(told.trouble)}
      </Notice>
    );
  }
  const budget = budgetOf(told, tokens);
  if (!budget || budget.left > 0n) return null;
  const isUsed = budget.funded > 0n;
  return (
    <Notice kind="warn" title={isUsed ? terms.usedUp : terms.notFunded}>
      {isUsed ? terms.usedUpWhy : terms.notFundedWhy}
    </Notice>
  );
}

/** The coordinator's words begin small and end without a stop. */
export function sentence(words: string): string {
  const whole = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

export function LocalNote({ told }: { readonly told: PayTold }): ReactNode {
  const { terms } = payTexts;
  return isLocal(told) ? <Notice title={terms.localTitle}>{terms.local}</Notice> : null;
}
