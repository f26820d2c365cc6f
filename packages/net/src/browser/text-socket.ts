// One outbound WebSocket of the platform, for pages and workers, with the limits that Node's has.
// No pings: a browser has none to send, so a silent peer is found by whoever expects an answer.
import type { TextSocket, TextSocketEvents, Timers } from "../text-socket.ts";

export type BrowserSocketOptions = {
  /** ws: or wss:. */
  readonly url: string;
  readonly timers: Timers;
  readonly events: TextSocketEvents;
  /** Largest frame that is accepted, in bytes. A browser reads it whole before we see it. */
  readonly frameBytesMax: number;
  readonly onBytes: (bytes: { readonly up: number; readonly down: number }) => void;
  readonly handshakeMs?: number;
};

const HANDSHAKE_MS = 10_000;
const ABNORMAL = 1006;

export function openBrowserSocket(options: BrowserSocketOptions): TextSocket {
  const { events, timers, onBytes, frameBytesMax } = options;
  const socket = new WebSocket(options.url);
  let why = "the connection was closed";
  let isOver = false;
  const over = (code: number, words: string): void => {
    if (isOver) return;
    isOver = true;
    cancel();
    events.onClose({ why: words, code, httpStatus: null });
  };
  const giveUp = (words: string): void => {
    why = words;
    socket.close();
    over(ABNORMAL, words);
  };
  const cancel = timers.set(options.handshakeMs ?? HANDSHAKE_MS, () => {
    if (socket.readyState === WebSocket.CONNECTING) giveUp("no connection within the time limit");
  });
  socket.onopen = () => {
    cancel();
    if (!isOver) events.onOpen();
  };
  socket.onmessage = ({ data }: { readonly data: unknown }) => {
    if (isOver) return;
    if (typeof data !== "string") {
      giveUp("the peer sent a binary frame, which the protocol does not have");
    } else if (data.length > frameBytesMax) {
      giveUp(`the peer sent a frame of more than ${frameBytesMax} B`);
    } else {
      onBytes({ up: 0, down: data.length });
      events.onText(data);
    }
  };
  // The error event of a browser says nothing; the close event follows and says a little.
  socket.onerror = () => {
    why = "the connection failed";
  };
  socket.onclose = ({ code, reason }) => over(code, reason || why);
  return {
    send(text) {
      if (isOver || socket.readyState !== WebSocket.OPEN) return;
      onBytes({ up: text.length, down: 0 });
      socket.send(text);
    },
    close: () => socket.close(1000),
    terminate: () => giveUp(why),
  };
}
