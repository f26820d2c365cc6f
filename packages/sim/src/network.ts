// The network between workers and the one coordinator: delay, cut connections, lost and doubled
// requests, silence. In order within one connection, out of order between two.
import { NetworkError } from "@manyhands/net/errors";
import type { HttpRequest, HttpResponse } from "@manyhands/net/http";
import type { TextSocket, TextSocketEvents } from "@manyhands/net/text-socket";
import type { Life } from "./virtual-time.ts";
import type { Chance, World } from "./world.ts";

/** Where a peer stands in the network. */
export type Place = {
  readonly name: string;
  /** No packet arrives here or leaves before this moment. */
  silentUntil: number;
  readonly life: Life;
};

/** The coordinator's end of a connection, and what it may do with it. */
export type Line = {
  readonly place: Place;
  send(text: string): void;
  close(code: number, why: string): void;
};
export type LineEvents = { onText(text: string): void; onClose(): void };

export type Answer = {
  readonly status: number;
  readonly body: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
};

/** The coordinator's process, as the network knows it. */
export type Server = {
  readonly life: Life;
  accept(line: Line): LineEvents;
  /** @returns the answer, or what gives it once the request's body has come in whole */
  answer(request: HttpRequest, place: Place): Answer | LateAnswer;
};
/** `finish` gives null if the process died over it. */
export type LateAnswer = { finish(): Answer | null; abort(): void };

const CLOSE_ABNORMAL = 1006;
const REQUEST_TIMEOUT_MS = 8_000;

export class Network {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #wires = new Set<Wire>();
  server: Server | null = null;

  constructor(world: World) {
    this.#world = world;
    this.#chance = world.chance("network");
  }

  delayMs(place: Place): number {
    const chance = this.#chance;
    const usual = chance.between(1, 30);
    const ms = this.#world.stormy && chance.happens(0.03) ? chance.between(100, 3_000) : usual;
    return Math.max(0, place.silentUntil - this.#world.time.now()) + ms;
  }

  open(place: Place, events: TextSocketEvents): TextSocket {
    const wire = new Wire({ world: this.#world, network: this, place, events });
    this.#wires.add(wire);
    return wire;
  }

  forget(wire: Wire): void {
    this.#wires.delete(wire);
  }

  /** Cuts one connection, if there is any. The coordinator may hear of it late. */
  cutOne(): void {
    const wire = this.#chance.pick([...this.#wires]);
    if (!wire) return;
    this.#world.count("connections cut");
    wire.cut(this.#chance.between(1, 500), this.#chance.between(1, 8_000));
  }

  /** A device vanished: does the coordinator hear of it at once, or only by its silence? */
  cutAllOf(place: Place): void {
    const ms = this.#chance.happens(0.5) ? this.#chance.between(1, 50) : null;
    for (const wire of [...this.#wires]) if (wire.place === place) wire.cut(null, ms);
  }

  cutAll(): void {
    for (const wire of [...this.#wires]) wire.cut(this.#chance.between(1, 2_000), null);
  }

  get wireCount(): number {
    return this.#wires.size;
  }

  /** One HTTP exchange: HttpSend of the packages net and worker. */
  send(place: Place, request: HttpRequest): Promise<HttpResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const { time } = this.#world;
    const fail = (why: string): void => reject(new NetworkError(`${place.name}: ${why}`));
    request.signal?.addEventListener("abort", () => fail("aborted"), { once: true });
    if (request.signal?.aborted) fail("aborted");
    time.afterIn(place.life, REQUEST_TIMEOUT_MS, () => fail("nothing came for too long"));
    if (this.#loses(0.04)) {
      this.#world.count("requests lost");
    } else {
      time.after(this.delayMs(place), () => {
        this.#arrive(place, request, {
          done: (answer) => resolve(this.#responseOf(answer)),
          fail,
        });
      });
    }
    return promise;
  }

  #loses(probability: number): boolean {
    return this.#world.stormy && this.#chance.happens(probability);
  }

  #arrive(
    place: Place,
    request: HttpRequest,
    to: { readonly done: (answer: Answer) => void; readonly fail: (why: string) => void },
  ): void {
    const { server } = this;
    const { time } = this.#world;
    if (!server) {
      time.afterIn(place.life, this.delayMs(place), () => to.fail("connection refused"));
      return;
    }
    const reply = (answer: Answer | null): void => {
      if (answer === null || this.#loses(0.04)) {
        this.#world.count("answers lost");
      } else time.afterIn(place.life, this.delayMs(place), () => to.done(answer));
    };
    if (this.#loses(0.04)) {
      this.#world.count("requests doubled");
      this.#serve(server, place, { request, reply: () => undefined });
    }
    this.#serve(server, place, { request, reply });
  }

  /** A body takes its time, and may break off. */
  #serve(
    server: Server,
    place: Place,
    {
      request,
      reply,
    }: { readonly request: HttpRequest; readonly reply: (answer: Answer | null) => void },
  ): void {
    const begun = server.answer(request, place);
    if ("status" in begun) {
      reply(begun);
      return;
    }
    const breaks = this.#loses(0.05) || request.signal?.aborted === true;
    this.#world.time.afterIn(server.life, this.delayMs(place), () => {
      if (breaks || !place.life.alive) {
        this.#world.count("uploads broken off");
        begun.abort();
        reply(null);
      } else reply(begun.finish());
    });
  }

  /** Some bodies end too early: the blob client goes on from there. */
  #responseOf({ status, body, headers }: Answer): HttpResponse {
    const cutAt = this.#loses(0.05) ? Math.floor(body.length / 2) : null;
    if (cutAt !== null && status < 300 && body.length > 1) this.#world.count("answers cut");
    return {
      status,
      header: (name) => headers?.[name] ?? null,
      body: piecesOf(body, cutAt),
    };
  }
}

async function* piecesOf(body: Uint8Array, cutAt: number | null): AsyncIterable<Uint8Array> {
  yield body.slice(0, cutAt ?? body.length);
  if (cutAt !== null && cutAt < body.length) throw new NetworkError("the answer broke off");
}

type WireOptions = {
  readonly world: World;
  readonly network: Network;
  readonly place: Place;
  readonly events: TextSocketEvents;
};

/** One connection. Each direction is a queue: what is sent later arrives later. */
class Wire implements TextSocket {
  readonly place: Place;
  readonly #world: World;
  readonly #network: Network;
  readonly #events: TextSocketEvents;
  #server: LineEvents | null = null;
  #serverLife: Life = { alive: true };
  #lastToServer = 0;
  #lastToClient = 0;
  #dead = false;
  #clientHasClosed = false;
  #serverHasClosed = false;

  constructor({ world, network, place, events }: WireOptions) {
    this.#world = world;
    this.#network = network;
    this.place = place;
    this.#events = events;
    world.time.after(network.delayMs(place), () => this.#knock());
  }

  #knock(): void {
    if (this.#dead) return;
    const { server } = this.#network;
    this.#world.trace(this.place.name, "knocks");
    if (!server) {
      this.cut(this.#network.delayMs(this.place), null);
      return;
    }
    this.#serverLife = server.life;
    this.#toClient(() => this.#events.onOpen());
    this.#server = server.accept({
      place: this.place,
      send: (text) => {
        if (!this.#serverHasClosed) this.#toClient(() => this.#events.onText(text));
      },
      close: (code, why) => this.#closeByServer(code, why),
    });
  }

  send(text: string): void {
    if (this.#clientHasClosed || !this.#server) return;
    this.#toServer(() => this.#server?.onText(text));
  }

  close(): void {
    this.#world.trace(this.place.name, "closes its connection");
    this.#toServer(() => this.#goneForServer());
    this.#clientHasClosed = true;
    this.#network.forget(this);
  }

  terminate(): void {
    this.cut(null, this.#network.delayMs(this.place));
  }

  /** @param clientMs, serverMs until that end hears of it; null if it never does */
  cut(clientMs: number | null, serverMs: number | null): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#world.trace(this.place.name, "loses a connection");
    this.#network.forget(this);
    const { time } = this.#world;
    const closed = { why: "the connection broke", code: CLOSE_ABNORMAL, httpStatus: null };
    if (clientMs !== null && !this.#clientHasClosed) {
      time.afterIn(this.place.life, clientMs, () => this.#events.onClose(closed));
    }
    if (serverMs !== null) time.afterIn(this.#serverLife, serverMs, () => this.#goneForServer());
  }

  #goneForServer(): void {
    if (this.#serverHasClosed) return;
    this.#serverHasClosed = true;
    this.#server?.onClose();
  }

  #closeByServer(code: number, why: string): void {
    if (this.#serverHasClosed) return;
    this.#serverHasClosed = true;
    this.#toClient(() => {
      if (!this.#clientHasClosed) this.#events.onClose({ why, code, httpStatus: null });
      this.#dead = true;
      this.#network.forget(this);
    });
  }

  #toServer(run: () => void): void {
    const at = this.#world.time.now() + this.#network.delayMs(this.place);
    this.#lastToServer = Math.max(this.#lastToServer, at);
    this.#world.time.afterIn(this.#serverLife, this.#lastToServer - this.#world.time.now(), () => {
      if (!this.#dead) run();
    });
  }

  #toClient(run: () => void): void {
    const at = this.#world.time.now() + this.#network.delayMs(this.place);
    this.#lastToClient = Math.max(this.#lastToClient, at);
    const { life } = this.place;
    this.#world.time.afterIn(life, this.#lastToClient - this.#world.time.now(), () => {
      if (!this.#dead) run();
    });
  }
}
