// The web's Worker, by Node's threads, as far as jax-js uses it, so that it has threads in Node.
// It deliberately is no polyfill for anything else.
import { Worker as NodeWorker } from "node:worker_threads";

const PRELUDE = `
const { parentPort } = await import("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (data) => parentPort.postMessage(data);
parentPort.on("message", (data) => globalThis.onmessage?.({ data }));
globalThis.addEventListener ??= (name, listener) => {
  if (name === "message") parentPort.on("message", (data) => listener({ data }));
};
`;

/** Defines the globals that a page has: Worker, and a navigator that names the number of cores. */
export function webWorkers(cores: number): void {
  const navigator = { hardwareConcurrency: cores, userAgent: "node" };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  Object.defineProperty(globalThis, "Worker", { value: WebWorker, configurable: true });
}

class WebWorker {
  onmessage: ((event: { data: unknown }) => void) | undefined;
  onerror: ((error: unknown) => void) | undefined;
  readonly #ready: Promise<NodeWorker>;

  constructor(url: string | URL) {
    this.#ready = this.#start(String(url));
  }

  async #start(url: string): Promise<NodeWorker> {
    const source = `${PRELUDE}${await (await fetch(url)).text()}`;
    const worker = new NodeWorker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    worker.on("message", (data) => this.onmessage?.({ data }));
    worker.on("error", (error) => this.onerror?.(error));
    return worker;
  }

  addEventListener(name: string, listener: (event: { data: unknown }) => void): void {
    if (name === "message") this.onmessage = listener;
  }

  async postMessage(data: unknown): Promise<void> {
    (await this.#ready).postMessage(data);
  }

  async terminate(): Promise<void> {
    await (await this.#ready).terminate();
  }
}
