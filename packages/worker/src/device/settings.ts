// What a person allows this device to do: the limits, their defaults, and how a kept text becomes
// settings again. Not what the limits mean: governor.ts.
import { type Decoded, flag, integer, nullable, object, real } from "@manyhands/base/decode";

export const POWER_MIN = 0.1;
const MINUTES_OF_DAY = 1_440;

export const settingsDecoder = object({
  /** Share of the time that it may work. */
  power: real(POWER_MIN, 1),
  onlyCharging: flag,
  onlyUnmetered: flag,
  onlyVisible: flag,
  /** Minutes of the day; past midnight if `to` is the smaller; null for any time. */
  hours: nullable(
    object({ from: integer(0, MINUTES_OF_DAY - 1), to: integer(0, MINUTES_OF_DAY - 1) }),
  ),
  dataBytesPerDay: nullable(integer(0)),
  memoryBytesMax: nullable(integer(0)),
  keepAwake: flag,
});

export type DeviceSettings = Readonly<Decoded<typeof settingsDecoder>>;

/** What kind of device it is, and which conditions its browser tells. */
export type DeviceKind = {
  readonly isPhone: boolean;
  readonly tellsCharging: boolean;
  readonly tellsNetwork: boolean;
};

/**
 * Quiet on phones, and where a condition can be known, on the safe side of it. A limit that this
 * browser cannot check is off by default: switched on it would hold for ever.
 */
export function defaultSettings({ isPhone, tellsCharging, tellsNetwork }: DeviceKind) {
  const settings: DeviceSettings = {
    power: isPhone ? 0.5 : 0.7,
    onlyCharging: tellsCharging,
    onlyUnmetered: tellsNetwork,
    onlyVisible: isPhone,
    hours: null,
    dataBytesPerDay: isPhone ? 200e6 : 2e9,
    memoryBytesMax: null,
    keepAwake: false,
  };
  return settings;
}
