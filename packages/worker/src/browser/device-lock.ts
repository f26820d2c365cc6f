// One working tab per device: a lock that the browser takes back when its tab is gone, however it
// went. Where there are no locks (pages without a secure context) every tab has it.
const NAME = "manyhands-device";

export class DeviceLock {
  #release: (() => void) | null = null;
  #isWaiting = false;

  get isHeld(): boolean {
    return this.#release !== null;
  }

  /** @returns whether this tab has it now */
  take(): Promise<boolean> {
    if (this.isHeld) return Promise.resolve(true);
    const locks = locksHere();
    if (!locks) {
      this.#release = () => undefined;
      return Promise.resolve(true);
    }
    return new Promise((resolve, reject) => {
      const hold = (lock: Lock | null): Promise<void> | undefined => {
        resolve(lock !== null);
        return lock ? this.#untilReleased() : undefined;
      };
      locks.request(NAME, { ifAvailable: true }, hold).catch(reject);
    });
  }

  /** Calls once when the tab that has it is gone; this one may then take it. */
  whenFree(call: () => void): void {
    const locks = locksHere();
    if (!locks || this.#isWaiting) return;
    this.#isWaiting = true;
    void locks.request(NAME, () => {
      this.#isWaiting = false;
      // Not at once: the lock is let go when this returns.
      setTimeout(call, 0);
    });
  }

  async isElsewhere(): Promise<boolean> {
    if (this.isHeld) return false;
    const held = (await locksHere()?.query())?.held ?? [];
    return held.some(({ name }) => name === NAME);
  }

  release(): void {
    this.#release?.();
    this.#release = null;
  }

  #untilReleased(): Promise<void> {
    return new Promise((resolve) => {
      this.#release = resolve;
    });
  }
}

function locksHere(): LockManager | undefined {
  return Reflect.get(navigator, "locks") as LockManager | undefined;
}
