// The files and folders that a run file names, read from disk in a fixed order.
// Node only. What is in a file does not matter here: any bytes are tokens.
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve, sep } from "node:path";
import { type Bytes, compareText, toHex } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot } from "@manyhands/base/hash";

/** name, byteLength and root are what a frozen run says of the file. */
export type DataFile = {
  readonly name: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly byteLength: number;
  /** The content address, in hex. */
  readonly root: string;
};

type Found = { readonly name: string; readonly path: string };

/**
 * Reads what is named: files in the order given, a folder's files sorted by name, at every depth.
 * Names that start with a dot and empty files inside a folder are left out. A file's name is its
 * path from `folder`, with "/", so that the run does not tell where the owner keeps it.
 *
 * @param paths  files or folders, relative to `folder` or absolute
 * @param folder where the run file lies
 * @throws InputError for a path that is not there, nothing to read, or two files with one name
 */
export async function readDataFiles(paths: readonly string[], folder: string): Promise<DataFile[]> {
  const found: Found[] = [];
  for (const given of paths) found.push(...(await filesOf(given, folder)));
  const byName = new Map<string, string>();
  for (const { name, path } of found) {
    const other = byName.get(name);
    if (other !== undefined) {
      throw new InputError(`data: ${path} and ${other} are both called ${name}`, {
        hint: "name each file once, and rename one of two that share a name",
      });
    }
    byName.set(name, path);
  }
  const files: DataFile[] = [];
  for (const each of found) {
    const bytes = await readFile(each.path);
    const root = toHex(blobRoot(bytes, nodeSha256));
    files.push({ ...each, bytes, byteLength: bytes.length, root });
  }
  if (files.length === 0) {
    throw new InputError("data: no file to read", { hint: "name a text file under data" });
  }
  return files;
}

async function filesOf(given: string, folder: string): Promise<Found[]> {
  const path = resolve(folder, given);
  const kind = await stat(path).catch((cause: unknown) => {
    throw new InputError(`data: there is no ${given} in ${folder}`, {
      cause,
      hint: "paths are relative to the run file's folder",
    });
  });
  const name = publicName(path, folder);
  if (!kind.isDirectory()) {
    if (kind.size > 0) return [{ name, path }];
    throw new InputError(`data: ${given} is empty`, { hint: "name a file with text in it" });
  }
  return await filesUnder(path, name);
}

async function filesUnder(folder: string, folderName: string): Promise<Found[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const shown = entries.filter((entry) => !entry.name.startsWith("."));
  const found: Found[] = [];
  for (const entry of shown.sort((a, b) => compareText(a.name, b.name))) {
    const path = join(folder, entry.name);
    const name = folderName === "" ? entry.name : `${folderName}/${entry.name}`;
    // A link to a folder is not followed: it could lead back here.
    if (entry.isDirectory()) found.push(...(await filesUnder(path, name)));
    else if (await hasBytes(path)) found.push({ name, path });
  }
  return found;
}

async function hasBytes(path: string): Promise<boolean> {
  const kind = await stat(path);
  return kind.isFile() && kind.size > 0;
}

function publicName(path: string, folder: string): string {
  const inside = relative(resolve(folder), path);
  const outside = inside.startsWith("..") || isAbsolute(inside);
  return outside ? basename(path) : inside.split(sep).join("/");
}

function nodeSha256(bytes: Bytes): Bytes {
  return createHash("sha256").update(bytes).digest();
}
