// What a person writes where a model is wanted: a folder, or a repository on the Hugging Face Hub.
// It deliberately looks at no disk and no network.
import { describe } from "@manyhands/base/decode";
import { InputError } from "@manyhands/base/errors";

export type ModelReference =
  | { readonly kind: "folder"; readonly path: string }
  | {
      readonly kind: "hub";
      /** "org/name", or a name alone for the oldest models. */
      readonly repo: string;
      /** A branch, a tag or a commit. */
      readonly revision: string;
    };

const PREFIX = "hf:";
const DEFAULT_REVISION = "main";
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$/;
const REVISION = /^[A-Za-z0-9_][A-Za-z0-9_./-]{0,200}$/;

/** `hf:<org>/<name>[@revision]`, or a folder's path. @throws InputError */
export function parseModelReference(text: string): ModelReference {
  if (text.trim() === "") {
    throw new InputError("the model has no name", { hint: "name a folder or hf:<org>/<name>" });
  }
  if (!text.startsWith(PREFIX)) return { kind: "folder", path: text };
  const [repo = "", ...revisions] = text.slice(PREFIX.length).split("@");
  const revision = revisions.length === 0 ? DEFAULT_REVISION : revisions.join("@");
  const names = repo.split("/");
  const good = names.length <= 2 && names.every(isName);
  if (!good) throw bad(text, "the repository");
  if (!REVISION.test(revision) || revision.split("/").some((part) => !isPart(part))) {
    throw bad(text, "the revision");
  }
  return { kind: "hub", repo, revision };
}

function isName(name: string): boolean {
  return NAME.test(name) && !name.includes("--") && isPart(name);
}

/** A part of a path that leads nowhere else. */
function isPart(part: string): boolean {
  return part !== "" && !part.includes("..") && !part.endsWith(".");
}

function bad(text: string, what: string): InputError {
  return new InputError(`${describe(text)}: ${what} is not one that the Hub can have`, {
    hint: "write hf:<org>/<name>, or hf:<org>/<name>@<branch, tag or commit>",
  });
}
