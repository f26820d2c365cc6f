// The coordinator's HTTP side in miniature: blobs and rounds, with the rules of the core.
// The real server streams and limits; that has its own tests.

import type { Bytes } from "@manyhands/base/bytes";
import { utf8 } from "@manyhands/base/bytes";
import { rootOfBytes } from "@manyhands/coordinator/blobs/blob-hasher";
import type { CoreBlobs } from "@manyhands/coordinator/blobs/blob-store";
import type { CoordinatorCore } from "@manyhands/coordinator/core/coordinator-core";
import { DiskError } from "@manyhands/coordinator/errors";
import type { HttpRequest } from "@manyhands/net/http";
import { type Reject, type RejectCode, reject } from "@manyhands/protocol/rejects";
import { ProcessDied } from "./coordinator-disk.ts";
import type { Answer, LateAnswer } from "./network.ts";

const ROUNDS_LISTED_MAX = 1_024;

export type Routes = {
  readonly core: CoordinatorCore;
  readonly blobs: CoreBlobs;
  /** A blob is about to be given away. */
  readonly onServed: (root: string) => void;
  readonly onUploaded: (root: string) => void;
  readonly onReject: (code: RejectCode) => void;
};

const STATUS: { readonly [code: string]: number } = {
  "auth/session": 401,
  "blob/sealed": 403,
  "blob/unknown": 404,
  "blob/quota": 409,
  "blob/too-large": 413,
  "blob/hash": 422,
};

export function answer(routes: Routes, request: HttpRequest): Answer | LateAnswer {
  const [path = "", query = ""] = request.url.replace(/^sim:/, "").split("?");
  const root = path.replace(/^\/blobs\//, "");
  if (path === "/rounds") {
    const from = Number(new URLSearchParams(query).get("from"));
    const closed = routes.core.closedRounds(from, ROUNDS_LISTED_MAX);
    return { status: 200, body: utf8(JSON.stringify(closed)) };
  }
  if (request.method === "PUT") return upload(routes, request, root);
  return download(routes, request, root);
}

function download(routes: Routes, request: HttpRequest, root: string): Answer {
  const readable = routes.core.readable(root);
  if (!readable.ok) return refused(routes, readable.error);
  const bytes = routes.blobs.read(root);
  if (!bytes) return refused(routes, reject("blob/unknown", `blob ${root} is not here`));
  routes.onServed(root);
  const range = /^bytes=(\d+)-$/.exec(request.headers?.["range"] ?? "");
  if (!range) return { status: 200, body: bytes };
  const from = Number(range[1]);
  const headers = { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
  return { status: 206, body: bytes.slice(from), headers };
}

function upload(routes: Routes, request: HttpRequest, root: string): Answer | LateAnswer {
  const { core } = routes;
  const session = (request.headers?.["authorization"] ?? "").replace(/^Bearer /, "");
  const workerId = core.workerOfSession(session);
  const body = request.body ?? new Uint8Array(0);
  if (workerId === null) return refused(routes, reject("auth/session", "no such session"));
  const reservation = { workerId, root, byteLength: body.length };
  const reserved = core.reserveUpload(reservation);
  if (!reserved.ok) return refused(routes, reserved.error);
  return {
    finish: () => {
      const stored = store(routes, root, body);
      if (!stored) return null;
      core.settleUpload(reserved.value, stored.status < 300);
      return stored;
    },
    abort: () => core.settleUpload(reserved.value, false),
  };
}

/** Null if the process died in the middle: nobody answers. */
function store(routes: Routes, root: string, bytes: Bytes): Answer | null {
  const found = rootOfBytes(bytes);
  if (found !== root) {
    return refused(routes, reject("blob/hash", `expected ${root}, but the bytes are ${found}`));
  }
  try {
    routes.blobs.write(bytes);
  } catch (error) {
    if (error instanceof DiskError) return { status: 507, body: utf8(error.message) };
    if (error instanceof ProcessDied) return null;
    throw error;
  }
  routes.onUploaded(root);
  return { status: 201, body: new Uint8Array(0) };
}

function refused(routes: Routes, refusal: Reject): Answer {
  routes.onReject(refusal.code);
  return { status: STATUS[refusal.code] ?? 400, body: utf8(JSON.stringify(refusal)) };
}
