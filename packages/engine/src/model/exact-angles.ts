// Sines, cosines and roots from + − × ÷ √ alone: the language leaves the last bits of Math.sin and
// ** open, and these numbers must have the same bits on every peer. Not fast; tables are made once.

/** 2π = TURN_HIGH + TURN_LOW: the first has 33 bits, so that small multiples of it are exact. */
const TURN_HIGH = 6.2831853069365025;
const TURN_LOW = 2.430840202602477e-10;
const HALVINGS = 3;
const SCALE = 8;
const TERMS = 8;

/**
 * cos and sin of an angle in radians, to about 1e-14 for |angle| < 10⁶.
 *
 * Whole turns are taken off, the rest is halved three times, e^(i r) is its Taylor series, and
 * three squarings undo the halvings.
 */
export function cosSin(angle: number): { readonly cos: number; readonly sin: number } {
  const turns = Math.round(angle / (TURN_HIGH + TURN_LOW));
  const rest = angle - turns * TURN_HIGH - turns * TURN_LOW;
  const r = rest / SCALE;
  const square = r * r;
  let cos = 1;
  let sin = 1;
  for (let n = TERMS; n >= 1; n--) {
    cos = 1 - (cos * square) / ((2 * n - 1) * (2 * n));
    sin = 1 - (sin * square) / (2 * n * (2 * n + 1));
  }
  sin *= r;
  for (let i = 0; i < HALVINGS; i++) {
    [cos, sin] = [(cos - sin) * (cos + sin), 2 * cos * sin];
  }
  return { cos, sin };
}

/**
 * The degree-th root of a number ≥ 1, by Newton's iteration from above until it no longer falls.
 */
export function root(value: number, degree: number): number {
  let x = 1 + (value - 1) / degree;
  for (;;) {
    let power = 1;
    for (let i = 1; i < degree; i++) power *= x;
    const next = x - (x - value / power) / degree;
    if (!(next < x)) return x;
    x = next;
  }
}
