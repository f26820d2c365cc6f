// Half floats: from single floats and back, as bits.
// It deliberately is not JavaScript's own: not every browser has half floats yet.

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** The bits of the nearest half float, ties to even; too large becomes infinite. */
export function halfOfFloat(value: number): number {
  single[0] = value;
  const word = bits[0] as number;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // Rebias the exponent from 127 to 15, and round the 13 bits that go.
    const rest = magnitude - 0x38000000;
    return sign | ((rest + 0xfff + ((rest >>> 13) & 1)) >>> 13);
  }
  // Subnormal: a whole number of 2⁻²⁴.
  const steps = Math.abs(single[0]) * 2 ** 24;
  const low = Math.floor(steps);
  const over = steps - low;
  const up = over > 0.5 || (over === 0.5 && low % 2 === 1) ? 1 : 0;
  return sign | (low + up);
}

/** The value of every half float, made once and only if needed. */
let values: Float32Array | undefined;

/** The value of a half float's bits. */
export function floatOfHalf(half: number): number {
  values ??= Float32Array.from({ length: 1 << 16 }, (_, index) => halfValue(index));
  return values[half] as number;
}

/** Sign, 5 bits of exponent, 10 of fraction. */
function halfValue(half: number): number {
  const sign = half >> 15 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * A half float as 256 · high + low, each a byte, is table[high][0] + low · table[high][1], exactly:
 * for devices that have no half floats. Infinities and NaN are not in it.
 */
export function halfByteTable(): Float32Array<ArrayBuffer> {
  const table = new Float32Array(512);
  for (let high = 0; high < 256; high++) {
    const first = halfValue(high << 8);
    table[2 * high] = first;
    table[2 * high + 1] = halfValue((high << 8) | 1) - first;
  }
  return table;
}
