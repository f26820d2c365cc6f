// The colour of a run's phase.
import type { RunStatus } from "@manyhands/coordinator/status";

export function phaseKind(phase: RunStatus["phase"]): "live" | "warn" | undefined {
  if (phase === "paused") return "warn";
  return phase === "finished" ? undefined : "live";
}
