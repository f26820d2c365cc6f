// What a page and its device thread say to each other. Plain data; both are of the same build, so
// nothing is decoded.
import type { Payout } from "@manyhands/protocol/keys";
import type { DeviceSettings } from "../device/settings.ts";
import type { DeviceView } from "./device-view.ts";

export type RuntimeFile = {
  /** Address of the runtime's script: threads load it as a module. */
  readonly script: string;
  /** Address of its WASM file. */
  readonly binary: string;
  /** Bytes of the WASM file as they are sent. */
  readonly bytes: number;
};

export type RuntimeFiles = { readonly wasm: RuntimeFile; readonly webgpu: RuntimeFile };

export type ComputeChoice = "auto" | "gpu" | "wasm";

/** What only the page itself can know of its surroundings. */
export type PageConditions = {
  readonly charging: boolean | null;
  readonly metered: boolean | null;
  readonly visible: boolean;
};

export type ToThread =
  | {
      readonly kind: "hello";
      readonly runtime: RuntimeFiles;
      readonly compute: ComputeChoice;
      readonly threadsMax: number;
      readonly triesSoftwareGpu: boolean;
      readonly settings: DeviceSettings;
      readonly conditions: PageConditions;
      /** How long ago the link was opened. Not a date: clocks are set while pages are open. */
      readonly sinceOpenMs: number;
    }
  | { readonly kind: "look"; readonly url: string }
  | { readonly kind: "start"; readonly url: string; readonly name: string }
  | { readonly kind: "finish" | "pause" | "resume" | "leave" }
  | { readonly kind: "settings"; readonly settings: DeviceSettings }
  | { readonly kind: "conditions"; readonly conditions: PageConditions }
  | { readonly kind: "fit"; readonly id: number; readonly url: string }
  | { readonly kind: "export-key"; readonly id: number }
  | { readonly kind: "device-id"; readonly id: number }
  | { readonly kind: "payout"; readonly id: number; readonly runId: string }
  | {
      readonly kind: "set-payout";
      readonly id: number;
      readonly runId: string;
      readonly payout: Payout;
    }
  | { readonly kind: "import-key"; readonly id: number; readonly text: string };

export type FromThread =
  | { readonly kind: "view"; readonly view: DeviceView }
  | { readonly kind: "answer"; readonly id: number; readonly text: string | null };
