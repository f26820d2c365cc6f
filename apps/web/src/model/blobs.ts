// Bytes of the run by their name, with progress, checked on arrival.
import { toHex } from "@manyhands/base/bytes";
import { blobRoot, type Sha256, sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";

const hash: Sha256 = sha256;

export type BlobQuestion = {
  readonly runId: string;
  readonly token: string;
  readonly root: string;
  readonly byteLength: number;
};

export type OnBytes = (done: number, total: number) => void;

/** @returns the bytes, or a sentence that says why they are not here */
export async function fetchBlob(
  { runId, token, root, byteLength }: BlobQuestion,
  onBytes: OnBytes,
): Promise<Result<Uint8Array, string>> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetchBytes(`/runs/${runId}/blobs/${root}`, {
    headers,
    expected: byteLength,
    onBytes,
  });
  if (!answer.ok) return answer;
  const found = toHex(blobRoot(answer.value, hash));
  return found === root ? answer : err("the bytes that came are not those that the log names");
}

/** A file as bytes; `expected` is its length if the server does not say it. */
async function fetchBytes(
  url: string,
  options: {
    readonly headers?: HeadersInit;
    readonly expected: number;
    readonly onBytes: OnBytes;
  },
): Promise<Result<Uint8Array, string>> {
  const { headers = {}, expected, onBytes } = options;
  try {
    const response = await fetch(url, { headers });
    if (!response.ok || !response.body) return err(`the coordinator answered ${response.status}`);
    const pieces: Uint8Array[] = [];
    let done = 0;
    for await (const piece of piecesOf(response.body)) {
      pieces.push(piece);
      done += piece.length;
      onBytes(done, Math.max(done, expected));
    }
    return ok(joined(pieces, done));
  } catch {
    // Nobody answered, or the connection broke in the middle.
    return err("the coordinator did not answer");
  }
}

/** Safari's streams cannot be iterated: this reads them everywhere. */
async function* piecesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
