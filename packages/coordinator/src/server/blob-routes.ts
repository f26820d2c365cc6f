// Blobs over HTTP: GET and HEAD with Range for what is public, PUT for a worker's update.
// docs/spec/05-http.md §5.3. The bytes are the blob store's, the rights are the core's.
import type { Readable } from "node:stream";
import { isHex } from "@manyhands/base/bytes";
import { err, type Result } from "@manyhands/base/result";
import { type Reject, reject } from "@manyhands/protocol/rejects";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { BlobUpload } from "../blobs/blob-store.ts";
import type { Reservation } from "../core/uploads.ts";
import { DiskError } from "../errors.ts";
import { refuseWith } from "./answers.ts";
import type { HostedRun } from "./hosted-run.ts";
import { parseRange } from "./range.ts";
import type { RunGate } from "./run-gate.ts";

type BlobParams = { readonly id: string; readonly root: string };
type BlobRequest = FastifyRequest<{ Params: BlobParams }>;

export function addBlobRoutes(app: FastifyInstance, gate: RunGate): void {
  app.route<{ Params: BlobParams }>({
    method: ["GET", "HEAD"],
    url: "/runs/:id/blobs/:root",
    handler: (request, reply) => {
      const entered = gate.enter(request, reply, ["owner", "guest", "worker"]);
      return entered ? serveBlob(entered.run, request, reply) : reply;
    },
  });
  app.put<{ Params: BlobParams }>("/runs/:id/blobs/:root", async (request, reply) => {
    const entered = gate.enter(request, reply, ["worker"]);
    if (!entered) return reply;
    if (entered.role.kind !== "worker") return reply;
    return takeBlob(entered.run, entered.role.workerId, { request, reply });
  });
}

function serveBlob(run: HostedRun, request: BlobRequest, reply: FastifyReply): FastifyReply {
  const { root } = request.params;
  const readable = isHex(root, 32) ? run.core.readable(root) : err(noSuchBlob(root));
  if (!readable.ok) return refuseWith(reply, readable.error);
  const size = run.blobs.size(root);
  if (size === null) return refuseWith(reply, noSuchBlob(root));
  reply
    .header("accept-ranges", "bytes")
    .header("etag", `"${root}"`)
    .header("cache-control", "private, max-age=31536000, immutable")
    .type("application/octet-stream");
  const range = parseRange(request.headers.range, size);
  if (!range.ok) {
    return reply.header("content-range", `bytes */${size}`).code(416).send();
  }
  const part = range.value ?? { from: 0, to: size };
  if (range.value) {
    reply.code(206).header("content-range", `bytes ${part.from}-${part.to - 1}/${size}`);
  }
  reply.header("content-length", part.to - part.from);
  return request.method === "HEAD" ? reply.send() : reply.send(run.blobs.stream(root, part));
}

function noSuchBlob(root: string): Reject {
  return reject("blob/unknown", `this run has no blob ${root.slice(0, 64)}`);
}

async function takeBlob(
  run: HostedRun,
  workerId: string,
  { request, reply }: { readonly request: BlobRequest; readonly reply: FastifyReply },
): Promise<FastifyReply> {
  const { root } = request.params;
  const length = request.headers["content-length"];
  if (length === undefined || !/^\d{1,15}$/.test(length)) {
    return turnAway(run, reply, { refused: lengthRequired(), status: 411 });
  }
  const byteLength = Number(length);
  if (!isHex(root, 32) || byteLength === 0) {
    const text = "a blob's name is 32 bytes in hex, and it is not empty";
    return turnAway(run, reply, { refused: reject("message/malformed", text) });
  }
  const reserved = run.core.reserveUpload({ workerId, root, byteLength });
  if (!reserved.ok) return turnAway(run, reply, { refused: reserved.error });
  const there = run.blobs.size(root) === byteLength;
  let kept = false;
  try {
    const taken = there
      ? await drain(request.raw, run, reserved.value)
      : await store(request.raw, run, reserved.value);
    kept = taken.ok;
    if (!taken.ok) return turnAway(run, reply, { refused: taken.error });
    return reply.code(there ? 200 : 201).send({ root, byteLength });
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const status = error.full ? 507 : 503;
    return reply
      .header("connection", "close")
      .code(status)
      .send({ code: "disk", message: error.message });
  } finally {
    run.core.settleUpload(reserved.value, kept);
  }
}

/** What was not read of the body is not read any more: the connection ends with the answer. */
function turnAway(
  run: HostedRun,
  reply: FastifyReply,
  { refused, status }: { readonly refused: Reject; readonly status?: number },
): FastifyReply {
  run.core.countReject(refused.code);
  reply.header("connection", "close");
  return refuseWith(reply, refused, status);
}

function lengthRequired(): Reject {
  return reject("message/malformed", "an upload says its Content-Length");
}

async function store(
  body: Readable,
  run: HostedRun,
  { root, byteLength, workerId }: Reservation,
): Promise<Result<unknown, Reject>> {
  const upload = await run.blobs.upload();
  let ended = false;
  try {
    const received = await pour(body, upload, () => run.core.touch(workerId));
    if (received !== byteLength) {
      return err(reject("blob/hash", `expected ${byteLength} B, found ${received} B`));
    }
    ended = true;
    return await upload.finish(root);
  } finally {
    if (!ended) await upload.abort();
  }
}

/** The blob is here already: its bytes need not be written again. */
async function drain(
  body: Readable,
  run: HostedRun,
  { workerId }: Reservation,
): Promise<Result<unknown, Reject>> {
  await pour(body, null, () => run.core.touch(workerId));
  return { ok: true, value: null };
}

async function pour(
  body: Readable,
  upload: BlobUpload | null,
  onBytes: () => void,
): Promise<number> {
  let received = 0;
  for await (const chunk of body) {
    const bytes: Uint8Array = chunk;
    received += bytes.length;
    if (upload) await upload.write(bytes);
    onBytes();
  }
  return received;
}
