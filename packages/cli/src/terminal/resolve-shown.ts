// A model by its name, fetched with its progress on the terminal if it is not here yet.
import { type ResolvedModel, resolveModel } from "@manyhands/hub/resolve";
import type { Io } from "./io.ts";
import { ProgressLine } from "./progress-line.ts";

/** @throws InputError | HubError as resolveModel */
export async function resolveShown(name: string, io: Io): Promise<ResolvedModel> {
  const line = new ProgressLine(io.stderr);
  const onProgress = (progress: Parameters<ProgressLine["show"]>[0]): void => line.show(progress);
  return await resolveModel(name, { env: io.environment, onProgress }).finally(() => line.end());
}
