// Bytes that crossed a set of sockets, headers and handshakes included: what a transfer really
// cost. Not a rate limiter, and not per message: only TCP payload in total.

/** What the meter needs to know of a socket; node:net's Socket has it. */
export type MeteredSocket = {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  once(event: "close", listener: () => void): unknown;
};

export type ByteTotals = { readonly up: number; readonly down: number };

export class ByteMeter {
  readonly #open = new Set<MeteredSocket>();
  #up = 0;
  #down = 0;

  /** Counts this socket from now on, until it closes; its total stays. */
  track<S extends MeteredSocket>(socket: S): S {
    if (this.#open.has(socket)) return socket;
    this.#open.add(socket);
    socket.once("close", () => {
      if (!this.#open.delete(socket)) return;
      this.#up += socket.bytesWritten;
      this.#down += socket.bytesRead;
    });
    return socket;
  }

  totals(): ByteTotals {
    let [up, down] = [this.#up, this.#down];
    for (const socket of this.#open) {
      up += socket.bytesWritten;
      down += socket.bytesRead;
    }
    return { up, down };
  }
}
