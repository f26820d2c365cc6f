// Where the Hub is, where its cache is, and who asks: the environment variables of Hugging Face's
// own tools. A token is never printed.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";

export type Environment = Readonly<Record<string, string | undefined>>;

export type HubSettings = {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** The folder of models--org--name folders. */
  readonly cache: string;
  readonly token: string | undefined;
  readonly offline: boolean;
};

const ENDPOINT = "https://huggingface.co";
const TRUE = /^(1|on|yes|true)$/i;

/**
 * HF_ENDPOINT; HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, which is by default
 * `huggingface` in XDG_CACHE_HOME or ~/.cache; HF_TOKEN, else the file that `hf auth login` wrote;
 * HF_HUB_OFFLINE.
 *
 * @throws InputError if HF_ENDPOINT is no http or https address
 */
export function hubSettings(env: Environment): HubSettings {
  const home = expand(env["HF_HOME"], env) ?? join(cacheHome(env), "huggingface");
  const cache = expand(env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"], env);
  return {
    endpoint: endpointOf(env["HF_ENDPOINT"]),
    cache: cache ?? join(home, "hub"),
    token: tokenOf(env, home),
    offline: TRUE.test(env["HF_HUB_OFFLINE"] || env["TRANSFORMERS_OFFLINE"] || ""),
  };
}

function userHome(env: Environment): string {
  return env["HOME"] || homedir();
}

function cacheHome(env: Environment): string {
  return env["XDG_CACHE_HOME"] || join(userHome(env), ".cache");
}

/** A folder's name, with ~ for the home folder. Nothing for an empty one. */
function expand(path: string | undefined, env: Environment): string | undefined {
  if (!path) return undefined;
  return path === "~" || path.startsWith("~/") ? join(userHome(env), path.slice(1)) : path;
}

function endpointOf(text: string | undefined): string {
  const endpoint = (text || ENDPOINT).replace(/\/+$/, "");
  if (/^https?:\/\/[^\s/]/.test(endpoint) && URL.canParse(endpoint)) return endpoint;
  throw new InputError(`HF_ENDPOINT is no http or https address: ${JSON.stringify(text)}`, {
    hint: `unset it, or set it to an address such as ${ENDPOINT}`,
  });
}

function tokenOf(env: Environment, home: string): string | undefined {
  const given = env["HF_TOKEN"] ?? env["HUGGING_FACE_HUB_TOKEN"];
  if (given !== undefined) return clean(given);
  if (TRUE.test(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] ?? "")) return undefined;
  try {
    return clean(readFileSync(expand(env["HF_TOKEN_PATH"], env) ?? join(home, "token"), "utf8"));
  } catch {
    // Nobody logged in on this machine: public models need no token.
    return undefined;
  }
}

/** A token from a file or a shell may have a line's end; a header may not. */
function clean(token: string): string | undefined {
  const text = token.trim();
  return /^[\x21-\x7e]+$/.test(text) ? text : undefined;
}
