// Connecting a wallet, the network that it is on, and what became of a question to it.
import type { PayTold } from "@manyhands/coordinator/server/pay-routes";
import type { ReactNode } from "react";
import { isLocal } from "../../pay/pay-numbers.ts";
import { payTexts } from "../../texts-pay.ts";
import { Button, Meter, Notice } from "../../ui/parts.tsx";
import { accountText } from "../../wallet/account.ts";
import type { Announced } from "../../wallet/provider.ts";
import { type Errand, useErrand, useWallet } from "../../wallet/use-wallet.ts";
import { type NewChain, theWallet, type WalletView } from "../../wallet/wallet.ts";

export type Connected = NonNullable<WalletView["connected"]>;

export type WithWalletProps = {
  readonly told: PayTold;
  /** What a wallet on the run's own chain may do. */
  readonly children: (connected: Connected) => ReactNode;
};

/** Offers the wallets of this browser; then its account; and first of all the right network. */
export function WithWallet({ told, children }: WithWalletProps): ReactNode {
  const { connected } = useWallet();
  const errand = useErrand();
  if (!connected) return <WalletList errand={errand} />;
  const isRight = connected.chainId === told.terms.chain.chainId;
  return (
    <div className="stack tight">
      <ConnectedAccount connected={connected} />
      {isRight ? children(connected) : <WrongChain told={told} connected={connected} />}
    </div>
  );
}

function WalletList({ errand }: { readonly errand: Errand }): ReactNode {
  const { wallet } = payTexts;
  const { found } = useWallet();
  const connect = (one: Announced): void => {
    void errand.run(() => theWallet().connect(one));
  };
  if (found.length === 0) {
    return <Notice title={wallet.none}>{wallet.noneWhy}</Notice>;
  }
  return (
    <div className="stack tight">
      <div className="row wrap">
        {found.map((one) => (
          <Button key={one.uuid} disabled={errand.doing !== null} onClick={() => connect(one)}>
            {one.icon === null ? null : <img className="wallet-icon" src={one.icon} alt="" />}
            {wallet.connect(one.name)}
          </Button>
        ))}
      </div>
      <ErrandNews errand={errand} />
    </div>
  );
}

function ConnectedAccount({ connected }: { readonly connected: Connected }): ReactNode {
  const { wallet } = payTexts;
  return (
    <div className="stack tight">
      <p className="row wrap between">
        <span>{wallet.connected(connected.name)}</span>
        <Button kind="bare" onClick={() => void theWallet().disconnect()}>
          {wallet.disconnect}
        </Button>
      </p>
      <code className="address">{accountText(connected.account)}</code>
    </div>
  );
}

type WrongChainProps = { readonly told: PayTold; readonly connected: Connected };

function WrongChain({ told, connected }: WrongChainProps): ReactNode {
  const { wallet } = payTexts;
  const errand = useErrand();
  const { chainId } = told.terms.chain;
  const chain = newChainOf(told);
  const change = (): void => {
    void errand.run(() => theWallet().switchTo(chainId, chain));
  };
  return (
    <>
      <Notice kind="warn" title={wallet.wrongChain}>
        {wallet.wrongChainWhy(connected.chainId, chainId)}{" "}
        {chain === null ? "" : wallet.addChain(chain.rpcUrl, chainId)}
      </Notice>
      <div>
        <Button kind="main" disabled={errand.doing !== null} onClick={change}>
          {wallet.switch}
        </Button>
      </div>
      <ErrandNews errand={errand} />
    </>
  );
}

/** What a wallet may be told of the run's chain; null where the wallet must know it. */
function newChainOf(told: PayTold): NewChain | null {
  const rpcUrl = told.standing?.localRpc ?? null;
  if (rpcUrl === null || !isLocal(told)) return null;
  return { chainId: told.terms.chain.chainId, name: payTexts.wallet.chainName, rpcUrl };
}

/** What is going on, what went wrong, what is done. */
export function ErrandNews({ errand }: { readonly errand: Errand }): ReactNode {
  const { doing, problem, done } = errand;
  if (doing !== null) {
    return (
      <div className="stack tight">
        <p role="status">{doing}</p>
        <Meter value={null} label={doing} />
      </div>
    );
  }
  if (problem !== null) return <Notice kind="bad">{problem}</Notice>;
  return done === null ? null : <Notice kind="good">{done}</Notice>;
}
