// One run as the HTTP layer sees it, and who somebody with a bearer token is.
import type { WorkerId } from "@manyhands/protocol/keys";
import type { BlobStore } from "../blobs/blob-store.ts";
import type { CoordinatorCore } from "../core/coordinator-core.ts";
import { sameSecret } from "../keys.ts";
import type { Log } from "../log/log.ts";
import type { SettlementDesk } from "../settlement-desk.ts";
import type { RunTraffic } from "./traffic.ts";

export type HostedRun = {
  readonly core: CoordinatorCore;
  readonly log: Pick<Log, "rows" | "head" | "sideValue">;
  readonly blobs: BlobStore;
  readonly admissionToken: string;
  readonly ownerToken: string;
  readonly traffic: RunTraffic;
  /** Where the finished model is, once it is. */
  readonly exportFolder: string;
  /** Null where nobody settles beside this coordinator. */
  readonly settlements: SettlementDesk | null;
};

export type Role =
  | { readonly kind: "owner" }
  /** Somebody with the join URL. */
  | { readonly kind: "guest" }
  | { readonly kind: "worker"; readonly workerId: WorkerId };

const BEARER = /^Bearer ([\x21-\x7e]{1,128})$/i;

export function bearerOf(authorization: string | undefined): string | null {
  return BEARER.exec(authorization ?? "")?.[1] ?? null;
}

/** Who sends this Authorization header; null for nobody that the run knows. */
export function roleOf(run: HostedRun, authorization: string | undefined): Role | null {
  const token = bearerOf(authorization);
  if (token === null) return null;
  if (sameSecret(token, run.ownerToken)) return { kind: "owner" };
  if (sameSecret(token, run.admissionToken)) return { kind: "guest" };
  const workerId = run.core.workerOfSession(token);
  return workerId === null ? null : { kind: "worker", workerId };
}
