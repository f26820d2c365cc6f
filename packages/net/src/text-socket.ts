// A connection that carries texts in order, as a port: Node and browsers each have their own.
// Not a protocol: what the texts mean is known elsewhere.

export type Closed = {
  /** In words: what the platform said. */
  readonly why: string;
  /** WebSocket close code; 1006 when the connection broke or never was. */
  readonly code: number;
  /** Status of a server that answered the handshake with plain HTTP, else null. */
  readonly httpStatus: number | null;
};

export type TextSocketEvents = {
  onOpen(): void;
  onText(text: string): void;
  /** Exactly once, also when the connection never opened. */
  onClose(closed: Closed): void;
};

export interface TextSocket {
  /** Sends, or does nothing when the socket is not open: its close event tells. */
  send(text: string): void;
  /** Closes with the closing handshake. */
  close(): void;
  /** Drops the connection at once. */
  terminate(): void;
}

/** Time as a port, so that tests and the simulator have their own. */
export interface Timers {
  /** Calls once after so many milliseconds, unless cancelled by what it returns. */
  set(ms: number, call: () => void): () => void;
}
