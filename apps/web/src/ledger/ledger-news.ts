// What the checking thread and the ledger's screen say to each other.
import type { Trouble } from "../feed/http.ts";
import type { LogFindings } from "./check-log.ts";

export type LedgerOrder = { readonly runId: string; readonly token: string | null };

export type LedgerNews =
  | { readonly kind: "progress"; readonly rows: number; readonly total: number }
  | {
      readonly kind: "done";
      readonly findings: LogFindings;
      /** Rows that the coordinator said it had when the check began. */
      readonly total: number;
      readonly ms: number;
    }
  | { readonly kind: "trouble"; readonly trouble: Trouble };
