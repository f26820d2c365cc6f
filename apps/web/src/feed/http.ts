// Questions to the coordinator over HTTP, answered as data: a value, or why there is none.
// Not a cache and not a retry: the feed asks again anyway.
import { err, ok, type Result } from "@manyhands/base/result";

/**
 * away: nobody answered · refused: the token is missing or wrong · unknown: no such run or path ·
 * failed: the coordinator answered that it could not.
 */
export type Trouble = {
  readonly kind: "away" | "refused" | "unknown" | "failed";
  readonly message: string;
};

export type Answer<T> = Result<T, Trouble>;

export type AskOptions = {
  readonly token?: string | null;
  readonly method?: "GET" | "POST";
  readonly body?: BodyInit;
  readonly signal?: AbortSignal;
};

const TIMEOUT_MS = 15_000;
/** A text on its way to a host, and the first weights that it makes. */
const UPLOAD_TIMEOUT_MS = 600_000;

export async function ask(path: string, options: AskOptions = {}): Promise<Answer<Response>> {
  const { token = null, method = "GET", body, signal } = options;
  const headers: Record<string, string> = { accept: "application/json" };
  if (token !== null) headers["authorization"] = `Bearer ${token}`;
  const limit = AbortSignal.timeout(body === undefined ? TIMEOUT_MS : UPLOAD_TIMEOUT_MS);
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: body ?? null,
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    return response.ok ? ok(response) : err(await troubleOf(response));
  } catch (error) {
    return err({ kind: "away", message: error instanceof Error ? error.message : "no answer" });
  }
}

export async function askJson<T>(path: string, options?: AskOptions): Promise<Answer<T>> {
  const answer = await ask(path, options);
  if (!answer.ok) return answer;
  try {
    return ok((await answer.value.json()) as T);
  } catch {
    // A proxy's page, or a connection that broke in the middle: as if nobody had answered.
    return err({ kind: "away", message: "the answer was not JSON" });
  }
}

async function troubleOf(response: Response): Promise<Trouble> {
  const message = await messageIn(response);
  if (response.status === 401 || response.status === 403) return { kind: "refused", message };
  if (response.status === 404) return { kind: "unknown", message };
  if (response.status === 502 || response.status === 504) return { kind: "away", message };
  return { kind: "failed", message };
}

async function messageIn(response: Response): Promise<string> {
  try {
    const body: unknown = await response.json();
    const message = typeof body === "object" && body !== null ? Reflect.get(body, "message") : null;
    if (typeof message === "string") return message;
  } catch {
    // No JSON: the status has to do.
  }
  return `HTTP ${response.status}`;
}
