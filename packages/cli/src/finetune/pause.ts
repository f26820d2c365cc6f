// A pause that a key or a signal begins and ends. It holds no work itself: whoever works asks.

export class Pause {
  #ended: PromiseWithResolvers<void> | undefined;
  /** Keeps the process alive while nothing else happens. */
  #timer: NodeJS.Timeout | undefined;

  get isPaused(): boolean {
    return this.#ended !== undefined;
  }

  toggle(): void {
    if (this.#ended) {
      this.end();
      return;
    }
    this.#ended = Promise.withResolvers();
    this.#timer = setInterval(() => undefined, 60_000);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#ended?.resolve();
    this.#ended = undefined;
  }

  /** Resolves at once, or when the pause ends. */
  async over(): Promise<void> {
    await this.#ended?.promise;
  }
}
