// Names for files that nobody else writes, in this process or another of this machine.
// They hold no chance and no time, so a killed process leaves names that say whose they were.

let count = 0;

/** A path beside the given one. */
export function uniquePath(path: string, ending: string): string {
  count += 1;
  return `${path}.${process.pid}-${count}.${ending}`;
}
