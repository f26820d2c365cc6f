// A run's status for tests of what people see.
import type { RunStatus, WorkerStatus } from "@manyhands/coordinator/status";

export function workerFixture(changes: Partial<WorkerStatus> = {}): WorkerStatus {
  return {
    workerId: "11".repeat(32),
    name: "worker-1",
    numerics: "ort-cpu",
    active: true,
    connected: true,
    credit: 215_040,
    updateCount: 42,
    payTo: null,
    doing: "training",
    innerStep: 5,
    innerSteps: 10,
    tokensPerSecond: 3_580,
    bytesUp: 7_000_000,
    bytesDown: 8_000_000,
    ...changes,
  };
}

export function statusFixture(changes: Partial<RunStatus> = {}): RunStatus {
  return {
    runId: "ab".repeat(32),
    name: "shakespeare",
    phase: "training",
    round: 42,
    position: 215_000,
    tick: 66_000,
    tokensCommitted: 860_160,
    budget: { tokens: 4_000_000, minutes: 4.7 },
    trainingMs: 60_000,
    tokensPerSecond: 14_336,
    etaMs: 219_000,
    trainLoss: [4, 3, 2.5, 2.25].map((loss, round) => ({ round, tokens: 20_480 * round, loss })),
    evaluationLoss: [{ round: 40, tokens: 819_200, loss: 2.4 }],
    workers: [
      workerFixture(),
      workerFixture({ workerId: "22".repeat(32), name: "worker-2", doing: "uploading" }),
      workerFixture({
        workerId: "33".repeat(32),
        name: "anna's laptop",
        active: false,
        credit: 900,
      }),
    ],
    traffic: { bytesUp: 42_000_000, bytesDown: 17_200_000 },
    rejects: {},
    stateRoot: "cd".repeat(32),
    parameters: 820_352,
    finishReason: null,
    wish: null,
    trouble: null,
    ...changes,
  };
}
