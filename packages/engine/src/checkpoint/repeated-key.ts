// Finds a key that an object in a JSON text has twice. JSON.parse keeps the last one silently, so
// two readers could see two different files. Not a parser: the text must have passed JSON.parse.

const [QUOTE, BACKSLASH, COLON, OPEN, CLOSE] = [0x22, 0x5c, 0x3a, 0x7b, 0x7d];
const SPACES: readonly number[] = [0x20, 0x09, 0x0a, 0x0d];

/**
 * The first key that stands twice in one object, at any depth; undefined if there is none. One pass
 * by hand: a regular expression would need stack for each character of a long string.
 *
 * @param json text that JSON.parse accepts
 */
export function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    const unit = json.charCodeAt(at);
    if (unit === OPEN) open.push(new Set());
    else if (unit === CLOSE) open.pop();
    else if (unit === QUOTE) {
      const end = stringEnd(json, at);
      if (isKey(json, end)) {
        const key = String(JSON.parse(json.slice(at, end)));
        const keys = open.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
      }
      at = end - 1;
    }
  }
  return undefined;
}

/** Just after the closing quote of the string that opens at `at`. */
function stringEnd(json: string, at: number): number {
  for (let i = at + 1; i < json.length; i++) {
    const unit = json.charCodeAt(i);
    if (unit === BACKSLASH) i += 1;
    else if (unit === QUOTE) return i + 1;
  }
  return json.length;
}

/** In valid JSON a string before a colon is a key. */
function isKey(json: string, end: number): boolean {
  let at = end;
  while (SPACES.includes(json.charCodeAt(at))) at += 1;
  return json.charCodeAt(at) === COLON;
}
