// What a core is made from: its ports, who may come in, what to begin with, and whom to tell.
// Not limits on strangers: those are the server's.
import type { RunEvent } from "@manyhands/protocol/events";
import type { RunState } from "@manyhands/protocol/state";
import type { CorePorts } from "./ports.ts";
import type { NewRun } from "./run-driver.ts";

export type CoreOptions = {
  readonly ports: CorePorts;
  /** Is this the run's admission token? */
  readonly admits: (token: string) => boolean;
  /** What the run begins with, if the log is empty. */
  readonly create?: NewRun | undefined;
  /** Closed rounds between two stored states. */
  readonly checkpointEvery?: number | undefined;
  /** Told of every event after it is durable. */
  readonly onEvent?: ((event: RunEvent, state: RunState) => void) | undefined;
  /** The run has stopped itself: a bug, or a damaged file. Nothing is answered any more. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
};
