// How a settlement stands, in a sentence.
import type { Standing } from "@manyhands/chain/settle/settler";
import { numberText } from "../terminal/format.ts";

export function standingText(standing: Standing): string {
  switch (standing.kind) {
    case "not-created":
      return "The run is not on its chain yet: `manyhands pay fund` makes it.";
    case "nothing-new":
      return "Nothing to settle: no accepted work that is named, scored, funded and not settled.";
    case "closed":
      return standing.why === "paused"
        ? "The run is paused on its chain: no settlement is posted until `manyhands pay resume`."
        : "The run is finished on its chain, and its last window is over: nothing more is settled.";
    case "signatures":
      return (
        `Settlement ${standing.sequence} waits for ` +
        `${numberText(standing.missing, "more attestor")}: \`manyhands attest\`.`
      );
    case "window":
      return (
        `Settlement ${standing.sequence} is posted, and final at ` +
        `${new Date(standing.finalAt * 1_000).toISOString().slice(0, 19)}Z.`
      );
    case "paid":
      return (
        `Settlement ${standing.sequence} is final: ` +
        `${numberText(standing.accounts, "account")} paid.`
      );
    default:
      return standing satisfies never;
  }
}
