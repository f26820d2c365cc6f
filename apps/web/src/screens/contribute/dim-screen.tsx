// A dark screen for a phone that must stay lit while it trains.
import { type ReactNode, useEffect, useRef } from "react";
import { texts } from "../../texts.ts";

export type DimScreenProps = { readonly now: string; readonly onEnd: () => void };

export function DimScreen({ now, onEnd }: DimScreenProps): ReactNode {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => button.current?.focus(), []);
  return (
    <button ref={button} type="button" className="dim-screen" onClick={onEnd}>
      <span>{now}</span>
      <small>{texts.contribute.dimHint}</small>
    </button>
  );
}
