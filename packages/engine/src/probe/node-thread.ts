// The thread in which Node's probe measures one backend. It runs by itself, and answers once.
import { parentPort, workerData } from "node:worker_threads";
import { measureHere } from "./node-backends.ts";

const { name, durationMs } = workerData;
parentPort?.postMessage(await measureHere(name, durationMs));
