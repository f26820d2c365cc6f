// The built page from a folder: hashed files for good, the rest checked each time, compressed where
// the browser takes it, and strict headers on all of it. docs/spec/05-http.md §5.2.
// Not the page: apps/web builds it. The list of files is read once: what is added later is unseen.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { messageOf } from "@manyhands/base/errors";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { PageError } from "../errors.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".txt": "text/plain; charset=utf-8",
  ".woff2": "font/woff2",
};
/** Already compressed: another time only costs. */
const DENSE: readonly string[] = [".png", ".ico", ".woff2"];
const COMPRESSED: readonly string[] = [".br", ".gz"];

/** Nothing from elsewhere, no script in the page itself; WebAssembly is what trains. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The two cross-origin policies make the page isolated: threads share memory only there. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const FOR_GOOD = "public, max-age=31536000, immutable";
const CHECK_AGAIN = "no-cache";
/** A build names these by a hash of their content. */
const HASHED = /^\/assets\/.+-[\w-]{8,}\.\w+$/;

type PageFile = {
  readonly path: string;
  readonly place: string;
  readonly type: string;
  readonly tag: string;
  readonly byteLength: number;
  /** Neighbours that the build has compressed, by the name of their encoding. */
  readonly ready: ReadonlyMap<"br" | "gzip", string>;
  packed: Promise<Buffer> | null;
};

export type StaticPage = ReadonlyMap<string, PageFile>;

/** @throws PageError if the folder is not a built page */
export function readPage(folder: string): StaticPage {
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
  } catch (cause) {
    throw new PageError(folder, messageOf(cause));
  }
  const all = new Set(names);
  const files = names
    .filter((name) => !COMPRESSED.includes(extname(name)))
    .map((name) => pageFile(folder, name, all));
  const page = new Map(files.map((file) => [file.path, file]));
  if (!page.has("/index.html")) throw new PageError(folder, "there is no index.html in it");
  return page;
}

function pageFile(folder: string, name: string, all: ReadonlySet<string>): PageFile {
  const place = join(folder, name);
  const bytes = readFileSync(place);
  const ready = new Map<"br" | "gzip", string>();
  if (all.has(`${name}.br`)) ready.set("br", `${place}.br`);
  if (all.has(`${name}.gz`)) ready.set("gzip", `${place}.gz`);
  return {
    path: `/${name}`,
    place,
    type: TYPES[extname(name)] ?? "application/octet-stream",
    tag: `"${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}"`,
    byteLength: bytes.length,
    ready,
    packed: null,
  };
}

/**
 * Serves the page's files, and the page itself wherever a browser navigates to: its addresses are
 * those of the interface, `/runs/<id>` above all, told apart by the Accept header.
 *
 * @returns answers a request that no route knew, if it is a navigation; else undefined
 */
export function addStaticPage(
  app: FastifyInstance,
  page: StaticPage,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> | undefined {
  const index = page.get("/index.html");
  app.addHook("onRequest", async (request, reply) => {
    const path = pathOf(request);
    const isPage = path === "/" || /^\/runs\/[^/]+\/?$/.test(path);
    if (index && isPage && isNavigation(request)) return send(index, request, reply);
    return undefined;
  });
  app.get("/*", (request, reply) => {
    const file = page.get(pathOf(request));
    if (file) return send(file, request, reply);
    return reply.callNotFound();
  });
  return (request, reply) =>
    index && isNavigation(request) ? send(index, request, reply) : undefined;
}

function pathOf(request: FastifyRequest): string {
  return request.url.split("?")[0] ?? "/";
}

/** Somebody's address bar, and not a script's fetch. */
function isNavigation({ method, headers }: FastifyRequest): boolean {
  return method === "GET" && headers.accept?.includes("text/html") === true;
}

async function send(
  file: PageFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  reply.headers(HEADERS).type(file.type).header("etag", file.tag).header("vary", "accept-encoding");
  reply.header("cache-control", HASHED.test(file.path) ? FOR_GOOD : CHECK_AGAIN);
  if (request.headers["if-none-match"] === file.tag) return reply.code(304).send();
  const encoding = encodingFor(file, request.headers["accept-encoding"]);
  if (encoding === null) return reply.send(await readFile(file.place));
  // How much will have come in the end, for whoever shows progress.
  reply.header("content-encoding", encoding).header("x-plain-length", file.byteLength);
  return reply.send(await packedBytes(file, encoding));
}

function encodingFor({ place, ready }: PageFile, accepted = ""): "br" | "gzip" | null {
  const takes = (name: string): boolean =>
    accepted.split(",").some((part) => part.trim().split(";")[0] === name);
  if (ready.has("br") && takes("br")) return "br";
  return takes("gzip") && !DENSE.includes(extname(place)) ? "gzip" : null;
}

/** What the build has not compressed is compressed once, when it is first asked for. */
function packedBytes(file: PageFile, encoding: "br" | "gzip"): Promise<Buffer> {
  const ready = file.ready.get(encoding);
  if (ready !== undefined) return readFile(ready);
  file.packed ??= readFile(file.place).then((bytes) => promisify(gzip)(bytes));
  return file.packed;
}
