// Fragments: the ordered list of named tensors that one flat array holds (spec §2.1).
// Not a tensor library: it knows names, shapes, lengths and offsets, and no arithmetic.
import { assert, defined } from "@manyhands/base/assert";
import { err, ok, type Result } from "@manyhands/base/result";

/** One named tensor. Its length is the product of its shape; a scalar has shape []. */
export type Fragment = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: "f32";
};

/** What an update header can count (a uint16), and far more than any model's tensors. */
export const FRAGMENTS_MAX = 65_535;
/** Eight axes are more than any tensor here has; a bound keeps a leaf's preimage short. */
export const RANK_MAX = 8;
/** Elements of one state: what a typed array can index on every platform. */
export const ELEMENTS_MAX = 2 ** 31 - 1;
export const FRAGMENT_NAME_CHARS_MAX = 256;

export type FragmentReject =
  | { readonly code: "fragment/count"; readonly found: number; readonly max: number }
  | { readonly code: "fragment/name"; readonly index: number; readonly chars: number }
  | { readonly code: "fragment/duplicate"; readonly index: number; readonly name: string }
  | { readonly code: "fragment/dtype"; readonly index: number; readonly found: string }
  | { readonly code: "fragment/shape"; readonly index: number; readonly shape: readonly number[] }
  | { readonly code: "fragment/elements"; readonly found: number; readonly max: number };

/**
 * Is the list a state that this version can hold?
 *
 * @returns the same list, or the first rule that it breaks (spec §2.1)
 */
export function checkFragments(
  fragments: readonly Fragment[],
): Result<readonly Fragment[], FragmentReject> {
  if (fragments.length === 0 || fragments.length > FRAGMENTS_MAX) {
    return err({ code: "fragment/count", found: fragments.length, max: FRAGMENTS_MAX });
  }
  const names = new Set<string>();
  for (const [index, fragment] of fragments.entries()) {
    const reject = fragmentReject(fragment, index);
    if (reject) return err(reject);
    const { name } = fragment;
    if (names.has(name)) return err({ code: "fragment/duplicate", index, name });
    names.add(name);
  }
  const found = elementCount(fragments);
  return found <= ELEMENTS_MAX
    ? ok(fragments)
    : err({ code: "fragment/elements", found, max: ELEMENTS_MAX });
}

function fragmentReject(fragment: Fragment, index: number): FragmentReject | undefined {
  const { name, shape, dtype } = fragment;
  if (name.length === 0 || name.length > FRAGMENT_NAME_CHARS_MAX) {
    return { code: "fragment/name", index, chars: name.length };
  }
  if (dtype !== "f32") return { code: "fragment/dtype", index, found: String(dtype) };
  const whole = shape.every((size) => Number.isSafeInteger(size) && size >= 1);
  return whole && shape.length <= RANK_MAX ? undefined : { code: "fragment/shape", index, shape };
}

export function fragmentLength(fragment: Fragment): number {
  return fragment.shape.reduce((product, size) => product * size, 1);
}

/** Elements of the whole state. */
export function elementCount(fragments: readonly Fragment[]): number {
  return fragments.reduce((sum, fragment) => sum + fragmentLength(fragment), 0);
}

/** Where each fragment starts in the flat array; one more entry at the end holds the total. */
export function fragmentOffsets(fragments: readonly Fragment[]): readonly number[] {
  const offsets = [0];
  let at = 0;
  for (const fragment of fragments) {
    at += fragmentLength(fragment);
    offsets.push(at);
  }
  return offsets;
}

/** Half-open piece of the flat array. */
export type Range = { readonly from: number; readonly to: number };

/** The pieces of the flat array that the covered fragments occupy, in their order. */
export function coveredRanges(
  fragments: readonly Fragment[],
  covered: readonly number[],
): readonly Range[] {
  const offsets = fragmentOffsets(fragments);
  return covered.map((index) => ({
    from: defined(offsets[index], `no fragment ${index} among ${fragments.length}`),
    to: defined(offsets[index + 1], `no fragment ${index} among ${fragments.length}`),
  }));
}

/** Every fragment's index: what an ordinary update covers. */
export function allFragments(fragments: readonly Fragment[]): readonly number[] {
  return fragments.map((_, index) => index);
}

/** @throws AssertionError unless the array holds exactly the fragments' elements */
export function assertFits(
  fragments: readonly Fragment[],
  values: Float32Array,
  what: string,
): void {
  const expected = elementCount(fragments);
  assert(
    values.length === expected,
    `${what}: expected ${expected} elements, found ${values.length}`,
  );
}

/** @throws AssertionError unless the indices exist and ascend strictly, and there is one */
export function assertCovered(fragments: readonly Fragment[], covered: readonly number[]): void {
  assert(covered.length > 0, "an update covers at least one fragment");
  let previous = -1;
  for (const index of covered) {
    assert(
      Number.isInteger(index) && index > previous && index < fragments.length,
      `covered fragments ascend within 0 … ${fragments.length - 1}, found ${index}`,
    );
    previous = index;
  }
}
