// What an owner does beyond pause, resume and stop: creates a run here, and takes the export home.
// docs/spec/05-http.md §5.6. What a run is made of is the host's business, behind a port.
import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type Decoded,
  integer,
  line,
  object,
  oneOf,
  problemText,
  text,
} from "@manyhands/base/decode";
import type { Result } from "@manyhands/base/result";
import { NAME_CHARS_MAX } from "@manyhands/protocol/limits";
import { reject } from "@manyhands/protocol/rejects";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { sameSecret } from "../keys.ts";
import { refuseWith } from "./answers.ts";
import { readAtMost } from "./body.ts";
import { bearerOf } from "./hosted-run.ts";
import { RUN_DATA_BYTES_MAX } from "./limits.ts";
import type { RunGate } from "./run-gate.ts";

/** What an owner chooses; all else is the template's. */
const newRunDecoder = object({
  name: line(NAME_CHARS_MAX),
  template: oneOf("tiny", "small", "medium"),
  /** Tokens of the budget. */
  tokens: integer(1_000, 2 ** 50),
  fileName: text(256),
});
export type NewRun = Decoded<typeof newRunDecoder>;

export type CreatedRun = {
  readonly runId: string;
  readonly joinUrl: string;
  /** Of the new run. */
  readonly ownerToken: string;
};

/** A host that can hold more runs than the one that it began with. */
export type RunMaker = {
  /** Who may create runs. */
  readonly token: string;
  /** @returns a sentence that says why not */
  make(choices: NewRun, data: Uint8Array): Promise<Result<CreatedRun, string>>;
};

type ExportParams = { readonly id: string; readonly file: string };
type CreateQuery = { readonly choices?: string };

export type OwnerRoutesParts = { readonly gate: RunGate; readonly maker: RunMaker | undefined };

export function addOwnerRoutes(app: FastifyInstance, { gate, maker }: OwnerRoutesParts): void {
  app.get<{ Params: { readonly id: string } }>("/runs/:id/export", (request, reply) => {
    const entered = gate.enter(request, reply, ["owner"]);
    return entered ? exportedFiles(entered.run.exportFolder) : reply;
  });

  app.get<{ Params: ExportParams }>("/runs/:id/export/:file", (request, reply) => {
    const entered = gate.enter(request, reply, ["owner"]);
    if (!entered) return reply;
    return serveExport(entered.run.exportFolder, request.params.file, reply);
  });

  app.post<{ Querystring: CreateQuery }>("/runs", async (request, reply) => {
    if (!maker) return refuseNewRun(reply, 404, "this coordinator hosts the run that it was given");
    const token = bearerOf(request.headers.authorization);
    if (token === null || !sameSecret(token, maker.token)) {
      reply.header("connection", "close");
      return refuseWith(reply, reject("auth/token", "expected the token of this host's owner"));
    }
    return createRun(maker, request, reply);
  });
}

export type ExportedFile = { readonly name: string; readonly byteLength: number };

/** Empty until the run is finished and exported. */
function exportedFiles(folder: string): readonly ExportedFile[] {
  return namesIn(folder).map((name) => ({ name, byteLength: statSync(join(folder, name)).size }));
}

function namesIn(folder: string): readonly string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isFile() ? [entry.name] : []));
  } catch {
    // Not exported yet: the folder is not there.
    return [];
  }
}

/** Only a name that the folder lists is served: no path leads out of it. */
function serveExport(folder: string, name: string, reply: FastifyReply): FastifyReply {
  if (!namesIn(folder).includes(name)) {
    return reply.code(404).send({ code: "http/not-found", message: "the export has no such file" });
  }
  const path = join(folder, name);
  reply
    .type("application/octet-stream")
    .header("content-length", statSync(path).size)
    .header("content-disposition", "attachment");
  return reply.send(createReadStream(path));
}

async function createRun(
  maker: RunMaker,
  request: FastifyRequest<{ Querystring: CreateQuery }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const choices = newRunDecoder(parsed(request.query.choices ?? ""));
  if (!choices.ok) return refuseNewRun(reply, 400, `choices: ${problemText(choices.error)}`);
  const data = await readAtMost(request.raw, RUN_DATA_BYTES_MAX);
  if (data === null) {
    reply.header("connection", "close");
    return refuseNewRun(reply, 413, `the text has more than ${RUN_DATA_BYTES_MAX} B`);
  }
  const made = await maker.make(choices.value, data);
  if (!made.ok) return refuseNewRun(reply, 422, made.error);
  return reply.code(201).send(made.value);
}

function refuseNewRun(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ code: "http/failed", message });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The decoder says what is wrong with it.
    return null;
  }
}
