// What a page is told of its surroundings: charger, network, whether it is in front. What a browser
// does not tell is null, never a guess.
import type { DeviceKind } from "../device/settings.ts";
import type { PageConditions } from "./thread-messages.ts";

type Battery = EventTarget & { readonly charging: boolean };
type Connection = EventTarget & { readonly saveData?: boolean; readonly type?: string };

export class Surroundings {
  readonly #onChange: () => void;
  #battery: Battery | null = null;

  private constructor(onChange: () => void) {
    this.#onChange = onChange;
    document.addEventListener("visibilitychange", onChange);
    window.addEventListener("pagehide", onChange);
    window.addEventListener("pageshow", onChange);
    connectionHere()?.addEventListener("change", onChange);
  }

  static watch(onChange: () => void): Surroundings {
    const surroundings = new Surroundings(onChange);
    void surroundings.#findBattery();
    return surroundings;
  }

  get conditions(): PageConditions {
    return {
      charging: this.#battery?.charging ?? null,
      metered: meteredNow(),
      visible: document.visibilityState === "visible",
    };
  }

  async #findBattery(): Promise<void> {
    const ask: unknown = Reflect.get(navigator, "getBattery");
    if (typeof ask !== "function") return;
    try {
      this.#battery = (await ask.call(navigator)) as Battery;
      this.#battery.addEventListener("chargingchange", this.#onChange);
      this.#onChange();
    } catch {
      // Refused, by a policy perhaps: as if the browser had none.
    }
  }
}

export function kindOfDevice(): DeviceKind {
  const { type } = connectionHere() ?? {};
  return {
    isPhone: isPhone(),
    tellsCharging: typeof Reflect.get(navigator, "getBattery") === "function",
    tellsNetwork: type !== undefined && type !== "unknown",
  };
}

function isPhone(): boolean {
  const hints: unknown = Reflect.get(navigator, "userAgentData");
  if (typeof hints === "object" && hints !== null && Reflect.get(hints, "mobile") === true) {
    return true;
  }
  return /\bMobi|Android|iPhone|iPad/.test(navigator.userAgent);
}

/** Saving data is asked of every page; a cellular network is paid by its bytes, often. */
function meteredNow(): boolean | null {
  const connection = connectionHere();
  if (!connection) return null;
  if (connection.saveData === true || connection.type === "cellular") return true;
  const isTold = connection.type !== undefined && connection.type !== "unknown";
  return isTold ? false : null;
}

function connectionHere(): Connection | null {
  const connection: unknown = Reflect.get(navigator, "connection");
  return connection instanceof EventTarget ? (connection as Connection) : null;
}
