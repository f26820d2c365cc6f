// Single keys of a terminal, while something runs. Ctrl-C and Ctrl-Z keep their meaning: what raw
// mode takes from the terminal is sent on as the signal that it would have been.

/** What is needed of process.stdin. */
export type KeyInput = {
  readonly isTTY?: boolean | undefined;
  setRawMode?(raw: boolean): unknown;
  setEncoding(encoding: "utf8"): unknown;
  on(event: "data", listener: (keys: string) => void): unknown;
  off(event: "data", listener: (keys: string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
};

const CTRL_C = "\u0003";
const CTRL_Z = "\u001a";
/** Process 0 is the whole group, as the terminal would stop it: npm and our launcher too. */
const GROUP = 0;

export type KeySignals = {
  readonly send: (process: number, signal: "SIGINT" | "SIGTSTP") => void;
  readonly onContinue: (listener: () => void) => () => void;
};

const PROCESS_SIGNALS: KeySignals = {
  send: (target, signal) => process.kill(target, signal),
  onContinue: (listener) => {
    process.on("SIGCONT", listener);
    return () => process.off("SIGCONT", listener);
  },
};

/** @returns gives the keys back */
export function watchKeys(
  input: KeyInput | undefined,
  onKey: (key: string) => void,
  signals: KeySignals = PROCESS_SIGNALS,
): () => void {
  if (!input?.isTTY || !input.setRawMode) return () => undefined;
  const raw = (on: boolean): void => void input.setRawMode?.(on);
  const onData = (keys: string): void => {
    for (const key of keys) {
      if (key === CTRL_C) signals.send(GROUP, "SIGINT");
      else if (key === CTRL_Z) {
        raw(false);
        signals.send(GROUP, "SIGTSTP");
      } else onKey(key);
    }
  };
  const release = signals.onContinue(() => raw(true));
  input.setEncoding("utf8");
  raw(true);
  input.on("data", onData);
  input.resume();
  return () => {
    release();
    input.off("data", onData);
    raw(false);
    input.pause();
  };
}
