// What a page may take of a device's memory, as far as browsers tell.

const GIB = 2 ** 30;
/** A tab is killed well before the device's memory is used up. */
const SHARE = 0.25;
/** What phones that do not tell (iOS) let a page have: GPU and heap together. */
const UNKNOWN = 0.9 * GIB;

/** @param device navigator; its deviceMemory is in GiB, rounded and at most 8; Chromium only */
export function pageMemoryBytes({ deviceMemory }: { readonly deviceMemory?: number }): number {
  return deviceMemory === undefined ? UNKNOWN : deviceMemory * GIB * SHARE;
}
