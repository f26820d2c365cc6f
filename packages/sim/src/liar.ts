// A hostile peer with a valid join URL: joins, takes assignments, lies, replays, sleeps, listens.
// It never poisons within the bounds: against that there are audits, not refusals.

import type { TextSocket } from "@manyhands/net/text-socket";
import type { Join } from "@manyhands/protocol/events";
import type { ClientMessage, RoundInfo, ServerMessage } from "@manyhands/protocol/messages";
import type { FrozenRun, RunId } from "@manyhands/protocol/run-config";
import { commitSigningBytes, joinSigningBytes } from "@manyhands/protocol/signing";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import { ADMISSION_TOKEN } from "./coordinator-process.ts";
import { hashOf, type KeyPair } from "./keys.ts";
import { LIES, type Lie, plainClaim } from "./lies.ts";
import type { Network, Place } from "./network.ts";
import type { Chance, World } from "./world.ts";

export type LiarOptions = {
  readonly world: World;
  readonly network: Network;
  readonly chance: Chance;
  readonly name: string;
  readonly keys: KeyPair;
  readonly run: FrozenRun;
  readonly runId: RunId;
};

/** Frames that are no messages, or not in this order. */
const NOISE: readonly [string, ...string[]] = [
  "",
  "hello",
  "{}",
  "[]",
  "null",
  '{"type":"__proto__"}',
  '{"type":"leave","extra":1}',
  '{"type":"hello","protocolVersion":1e400}',
  `{"type":"heartbeat","doing":"${"x".repeat(70_000)}"}`,
  '{"type":"heartbeat","doing":"training","innerStep":-1,"innerSteps":0,"tokensPerSecond":0}',
];

const OVERHEARD_MAX = 20;
const HEARTBEAT_MS = 500;

export class Liar {
  readonly #options: LiarOptions;
  readonly #place: Place;
  #socket: TextSocket | null = null;
  #session: string | null = null;
  #challenge = hashOf("an old challenge");
  /** Commits of others, as somebody on their network would see them. */
  readonly #overheard: string[] = [];

  constructor(options: LiarOptions) {
    this.#options = options;
    this.#place = { name: options.name, silentUntil: 0, life: { alive: true } };
  }

  start(): void {
    const { world, network, chance, name } = this.#options;
    world.count("liar connections");
    this.#session = null;
    this.#socket = network.open(this.#place, {
      onOpen: () => this.#greet(),
      onText: (text) => this.#read(JSON.parse(text) as ServerMessage),
      onClose: ({ code }) => {
        world.trace(name, `was let go (${code})`);
        world.time.after(chance.between(500, 5_000), () => this.start());
      },
    });
  }

  overhear(text: string): void {
    this.#overheard.push(text);
    if (this.#overheard.length > OVERHEARD_MAX) this.#overheard.shift();
  }

  #send(message: ClientMessage): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #greet(): void {
    const { runId, chance } = this.#options;
    const hello = {
      type: "hello",
      protocolVersion: PROTOCOL_VERSION,
      kernelSet: KERNEL_SET,
      runId,
      token: ADMISSION_TOKEN,
    } as const;
    const bent: readonly [ClientMessage, ...ClientMessage[]] = [
      { ...hello, protocolVersion: 99 },
      { ...hello, kernelSet: "other" },
      { ...hello, runId: hashOf("another run") },
      { ...hello, token: "guessed" },
      { type: "leave" },
      { type: "join", ...this.#join(), signature: "00".repeat(64) },
    ];
    this.#send(chance.happens(0.3) ? chance.pick(bent) : hello);
    if (chance.happens(0.1)) this.#send(hello);
  }

  #join(): Join {
    const { keys, name } = this.#options;
    return {
      signingKey: keys.key,
      exchangeKey: { algorithm: "x25519", bytes: hashOf(`exchange key of ${name}`) },
      payout: null,
      numerics: "reference",
      name,
    };
  }

  #read(message: ServerMessage): void {
    const { runId, keys, chance, world } = this.#options;
    switch (message.type) {
      case "challenge": {
        const replayed = chance.happens(0.15) ? this.#challenge : message.challenge;
        this.#challenge = message.challenge;
        const signature = keys.sign(joinSigningBytes(runId, replayed, this.#join()));
        this.#send({ type: "join", ...this.#join(), signature });
        return;
      }
      case "welcome":
        this.#session = message.session;
        this.#keepLease(this.#socket);
        if (message.current?.assignment) this.#plot(message.current);
        return;
      case "round":
        if (message.assignment) this.#plot(message);
        return;
      case "finished":
        this.#place.life.alive = false;
        return;
      case "receipt":
        world.count("liars' accepted updates");
        return;
      default:
        return;
    }
  }

  /** A sleeper that is heard of holds a round up, if the round lets it. */
  #keepLease(socket: TextSocket | null): void {
    const { world } = this.#options;
    if (socket !== this.#socket) return;
    this.#send({
      type: "heartbeat",
      doing: "training",
      innerStep: 0,
      innerSteps: 1,
      tokensPerSecond: 1,
    });
    world.time.afterIn(this.#place.life, HEARTBEAT_MS, () => this.#keepLease(socket));
  }

  /** One mischief per round. */
  #plot(info: RoundInfo): void {
    const { world, chance } = this.#options;
    const mischief = chance.between(0, 9);
    world.time.afterIn(this.#place.life, chance.between(5, 400), () => {
      if (mischief === 0) world.count("liars asleep");
      else if (mischief === 1) this.#socket?.send(chance.pick(NOISE));
      else if (mischief === 2) this.#replay();
      else if (mischief === 3) void this.#peek();
      else if (mischief === 4) this.#vanish();
      else void this.#lie(info);
    });
  }

  #replay(): void {
    const text = this.#options.chance.pick(this.#overheard);
    if (text) this.#socket?.send(text);
  }

  #vanish(): void {
    const { world, chance } = this.#options;
    this.#socket?.terminate();
    world.time.after(chance.between(100, 9_000), () => this.start());
  }

  /** Asks for a blob that is sealed as long as its round is open. */
  async #peek(): Promise<void> {
    const text = this.#overheard.at(-1);
    if (!text) return;
    const { updateRoot } = (JSON.parse(text) as { update: { updateRoot: string } }).update;
    await this.#request("GET", updateRoot);
  }

  async #lie(info: RoundInfo): Promise<void> {
    const { world, chance, run, keys, runId } = this.#options;
    const lie: Lie = chance.pick(LIES);
    world.trace(this.#options.name, `round ${info.round}: ${lie.name}`);
    const { update, bytes } = lie.bend(plainClaim(run, info, chance), { run, chance });
    if (lie.uploads === "other root") await this.#put(hashOf("other bytes"), bytes);
    else if (lie.uploads === "no session") await this.#put(update.updateRoot, bytes, "guessed");
    else if (lie.uploads !== "nothing") await this.#put(update.updateRoot, bytes);
    if (lie.name === "long") await this.#put(update.updateRoot, new Uint8Array(100_000));
    const signature = keys.sign(commitSigningBytes(runId, update));
    const wrong = `${signature.slice(0, -2)}${signature.endsWith("00") ? "11" : "00"}`;
    const signed = lie.signature === "wrong" ? wrong : signature;
    this.#send({ type: "commit", update, signature: signed });
    if (chance.happens(0.3)) this.#contradict(update);
  }

  /** Another update for the same round, after the first. */
  #contradict(update: Extract<ClientMessage, { type: "commit" }>["update"]): void {
    const { keys, runId } = this.#options;
    const other = { ...update, updateRoot: hashOf("another update") };
    const signature = keys.sign(commitSigningBytes(runId, other));
    this.#send({ type: "commit", update: other, signature });
  }

  #put(root: string, bytes: Uint8Array, session = this.#session): Promise<void> {
    return this.#request("PUT", root, { bytes, session });
  }

  async #request(
    method: "GET" | "PUT",
    root: string,
    upload?: { readonly bytes: Uint8Array; readonly session: string | null },
  ): Promise<void> {
    const { network, world } = this.#options;
    try {
      await network.send(this.#place, {
        method,
        url: `sim:/blobs/${root}`,
        headers: { authorization: `Bearer ${upload?.session ?? ""}` },
        ...(upload ? { body: upload.bytes } : {}),
      });
    } catch {
      // A liar has no claim to an answer.
      world.count("liars' requests without an answer");
    }
  }
}
