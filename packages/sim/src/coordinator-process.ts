// The coordinator as a process that can die at any moment and is started again on the same disk.
// The core is the real one; sockets, HTTP, clock and disk are the simulation's.

import { problemText } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import type { Connection } from "@manyhands/coordinator/core/connection";
import { CoordinatorCore } from "@manyhands/coordinator/core/coordinator-core";
import type { CloseReason, CorePorts } from "@manyhands/coordinator/core/ports";
import type { NewRun } from "@manyhands/coordinator/core/run-driver";
import { MESSAGE_BYTES_MAX } from "@manyhands/protocol/limits";
import { clientMessageDecoder, type ServerMessage } from "@manyhands/protocol/messages";
import { reject } from "@manyhands/protocol/rejects";
import type { Auditor } from "./auditor.ts";
import { type CoordinatorDisk, MountedDisk, ProcessDied } from "./coordinator-disk.ts";
import { answer } from "./http-routes.ts";
import type { KeyPair, KeyRing } from "./keys.ts";
import type { Line, LineEvents, Network } from "./network.ts";
import { hash } from "./task.ts";
import type { Life } from "./virtual-time.ts";
import type { Chance, World } from "./world.ts";

const CLOSE_CODES: { readonly [K in CloseReason]: number } = {
  broken: 1001,
  refused: 4000,
  replaced: 4001,
  left: 4002,
  expired: 4003,
};

export const ADMISSION_TOKEN = "token";

export type CoordinatorOptions = {
  readonly world: World;
  readonly network: Network;
  readonly disk: CoordinatorDisk;
  readonly auditor: Auditor;
  readonly keys: KeyPair;
  readonly ring: KeyRing;
  readonly create: NewRun;
  readonly checkpointEvery: number;
  readonly restartMs: () => number;
};

export class CoordinatorProcess {
  readonly #options: CoordinatorOptions;
  readonly #secrets: Chance;
  #life: Life = { alive: false };
  #core: CoordinatorCore | null = null;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#secrets = options.world.chance("secrets");
  }

  get core(): CoordinatorCore | null {
    return this.#life.alive ? this.#core : null;
  }

  start(): void {
    const { world, network, create, checkpointEvery, auditor } = this.#options;
    const life: Life = { alive: true };
    this.#life = life;
    const ports = this.#ports(life);
    try {
      this.#core = new CoordinatorCore({
        ports,
        create,
        checkpointEvery,
        admits: (token) => token === ADMISSION_TOKEN,
        onEvent: (_, state) => auditor.compare(state),
        onFailure: (error) => {
          if (life.alive) world.failFrom("the coordinator stopped itself", error);
        },
      });
    } catch (error) {
      if (!(error instanceof ProcessDied)) {
        world.failFrom("the coordinator did not start", error);
      }
      return;
    }
    const core = this.#core;
    world.trace("coordinator", `started in phase ${core.state.phase}`);
    network.server = {
      life,
      accept: (line) => this.#accept(core, line, life),
      answer: (request, place) =>
        answer(
          {
            core,
            blobs: ports.blobs,
            onServed: (root) => auditor.served(root, place.name),
            onUploaded: (root) => auditor.uploaded(root),
            onReject: (code) => auditor.rejected(code, place.name),
          },
          request,
        ),
    };
  }

  #ports(life: Life): CorePorts {
    const { world, disk, auditor, keys, ring } = this.#options;
    const mounted = new MountedDisk({
      disk,
      life,
      world,
      chance: this.#secrets,
      onRows: (rows) => auditor.absorb(rows),
      onDeath: () => this.crash(),
    });
    // Every process has a clock of its own: only differences mean something.
    const offset = this.#secrets.between(0, 1_000_000);
    return {
      clock: {
        now: () => world.time.now() + offset,
        setTimer: (at, wake) =>
          world.time.afterIn(life, Math.max(0, at - offset - world.time.now()), wake),
      },
      log: mounted.log,
      blobs: mounted.blobs,
      authority: keys.key,
      sign: keys.sign,
      verify: ring.verify,
      randomBytes: (count) => this.#secrets.bytes(count),
      sha256: hash,
    };
  }

  /** The process ends at once, and comes back after a while. */
  crash(): void {
    if (!this.#life.alive) return;
    const { world, network, disk } = this.#options;
    this.#life.alive = false;
    disk.crashIn = null;
    world.count("coordinator crashes");
    network.server = null;
    network.cutAll();
    world.trace("coordinator", "is dead");
    world.time.after(this.#options.restartMs(), () => this.start());
  }

  #accept(core: CoordinatorCore, line: Line, life: Life): LineEvents {
    const { world, auditor } = this.#options;
    const connection = core.connect({
      send: (message) => {
        if (!life.alive) return;
        auditor.told(message, line.place.name);
        traceSent(world, line.place.name, message);
        line.send(JSON.stringify(message));
      },
      close: (reason) => {
        if (life.alive) line.close(CLOSE_CODES[reason], reason);
      },
    });
    return {
      onText: (text) => {
        if (life.alive) this.#receive(core, connection, { text, line });
      },
      onClose: () => {
        if (life.alive) core.disconnect(connection);
      },
    };
  }

  #receive(
    core: CoordinatorCore,
    connection: Connection,
    { text, line }: { readonly text: string; readonly line: Line },
  ): void {
    if (text.length > MESSAGE_BYTES_MAX) {
      core.refuse(connection, reject("message/too-large", `${text.length} B are too many`));
      core.disconnect(connection);
      line.close(1009, "too large");
      return;
    }
    const message = clientMessageDecoder(parsed(text));
    if (!message.ok) {
      core.refuse(connection, reject("message/malformed", problemText(message.error)));
      return;
    }
    this.#options.auditor.heard(message.value, line.place.name, connection.workerId);
    core.receive(connection, message.value);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return messageOf(error);
  }
}

function traceSent(world: World, name: string, message: ServerMessage): void {
  if (message.type === "reject") world.trace("coordinator", `refuses ${name}: ${message.code}`);
  else if (message.type === "receipt")
    world.trace("coordinator", `receipt ${message.round} to ${name}`);
}
