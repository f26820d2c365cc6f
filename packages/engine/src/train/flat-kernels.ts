// The loops over flat arrays as a WebAssembly module, written byte by byte: four numbers at a time,
// and the same bits everywhere. It deliberately holds loops: flat-memory.ts gives them meaning.

/** Instructions: https://webassembly.github.io/spec/core/binary/instructions.html */
const END = 0x0b;
const LOOP = 0x03;
const BR_IF = 0x0d;
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const I32_CONST = 0x41;
const I32_ADD = 0x6a;
const I32_LT_U = 0x49;
const SIMD = 0xfd;
const NO_RESULT = 0x40;
const I32 = 0x7f;
const F32 = 0x7d;
const F64 = 0x7c;
const V128 = 0x7b;
const LANES = 16;

type Code = readonly number[];

function leb(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

const simd = (opcode: number): Code => [SIMD, ...leb(opcode)];
const get = (local: number): Code => [LOCAL_GET, ...leb(local)];
const set = (local: number, ...code: Code): Code => [...code, LOCAL_SET, ...leb(local)];
const load = (pointer: number): Code => [...get(pointer), ...simd(0x00), 2, 0];
const store = (pointer: number, value: Code): Code => [
  ...get(pointer),
  ...value,
  ...simd(0x0b),
  2,
  0,
];
const splat = (local: number): Code => [...get(local), ...simd(0x13)];
const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [...a, ...b, ...simd(opcode)];
const add = binary(0xe4);
const sub = binary(0xe5);
const mul = binary(0xe6);
const div = binary(0xe7);
const sqrt = (a: Code): Code => [...a, ...simd(0xe3)];
const addDoubles = binary(0xf0);
const mulDoubles = binary(0xf2);
const lowDoubles = (a: Code): Code => [...a, ...simd(0x5f)];
/** The upper half below. */
const HIGH_FIRST = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
const swapHalves = (local: number): Code => [
  ...get(local),
  ...get(local),
  ...simd(0x0d),
  ...HIGH_FIRST,
];
const lane = (local: number, index: number): Code => [...get(local), ...simd(0x21), index];

type Kernel = {
  readonly name: string;
  /** Pointers first: the first runs up to the last, and the others beside it. */
  readonly pointers: number;
  readonly scalars: number;
  /** v128 variables. The first ones hold the scalars, spread over the lanes. */
  readonly variables: number;
  readonly body: (variable: (index: number) => number) => Code;
  /** What is returned, if anything: a f64. */
  readonly result?: (variable: (index: number) => number) => Code;
};

/** a ← a + b */
const ADD: Kernel = {
  name: "add",
  pointers: 2,
  scalars: 0,
  variables: 0,
  body: () => store(0, add(load(0), load(1))),
};

/** Σ a², in doubles. */
const SQUARES: Kernel = {
  name: "squares",
  pointers: 1,
  scalars: 0,
  variables: 3,
  body: (variable) => {
    const [x, low, high] = [variable(0), variable(1), variable(2)];
    const lower = lowDoubles(get(x));
    const upper = lowDoubles(swapHalves(x));
    return [
      ...set(x, ...load(0)),
      ...set(low, ...addDoubles(get(low), mulDoubles(lower, lower))),
      ...set(high, ...addDoubles(get(high), mulDoubles(upper, upper))),
    ];
  },
  result: (variable) => {
    const sum = variable(0);
    const both = set(sum, ...addDoubles(get(variable(1)), get(variable(2))));
    return [...both, ...lane(sum, 0), ...lane(sum, 1), 0xa0];
  },
};

/** Scalars: gradient scale, β₁, 1 − β₁, β₂, 1 − β₂, keep, step size, ε. Pointers: θ, g, m, v. */
const ADAMW: Kernel = {
  name: "adamw",
  pointers: 4,
  scalars: 8,
  variables: 11,
  body: (variable) => {
    const scalar = (index: number): Code => get(variable(index));
    const [g, m, v] = [variable(8), variable(9), variable(10)];
    const root = add(sqrt(get(v)), scalar(7));
    const change = div(mul(scalar(6), get(m)), root);
    return [
      ...set(g, ...mul(load(1), scalar(0))),
      ...set(m, ...add(mul(scalar(1), load(2)), mul(scalar(2), get(g)))),
      ...set(v, ...add(mul(scalar(3), load(3)), mul(mul(scalar(4), get(g)), get(g)))),
      ...store(2, get(m)),
      ...store(3, get(v)),
      ...store(0, sub(mul(load(0), scalar(5)), change)),
    ];
  },
};

/** Scalars: gradient scale, 1 − μ, μ. Pointers: m, g, direction. */
const MOMENTUM: Kernel = {
  name: "momentum",
  pointers: 3,
  scalars: 3,
  variables: 5,
  body: (variable) => {
    const scalar = (index: number): Code => get(variable(index));
    const [g, m] = [variable(3), variable(4)];
    return [
      ...set(g, ...mul(load(1), scalar(0))),
      ...set(m, ...load(0)),
      ...set(m, ...add(get(m), mul(scalar(1), sub(get(g), get(m))))),
      ...store(0, get(m)),
      ...store(2, add(get(g), mul(scalar(2), sub(get(m), get(g))))),
    ];
  },
};

/** a ← keep · a − rate · b. Scalars: keep, rate. */
const BLEND: Kernel = {
  name: "blend",
  pointers: 2,
  scalars: 2,
  variables: 2,
  body: (variable) => {
    const [keep, rate] = [get(variable(0)), get(variable(1))];
    return store(0, sub(mul(load(0), keep), mul(load(1), rate)));
  },
};

const KERNELS: readonly Kernel[] = [ADD, SQUARES, ADAMW, MOMENTUM, BLEND];

/** Parameters: the pointers, the first one's end, the scalars. One turn or more is taken. */
function codeOf(kernel: Kernel): Code {
  const { pointers, scalars, variables } = kernel;
  const end = pointers;
  const variable = (index: number): number => pointers + 1 + scalars + index;
  const spread = range(scalars).flatMap((i) => set(variable(i), ...splat(end + 1 + i)));
  const forward = range(pointers).flatMap((pointer) =>
    set(pointer, ...get(pointer), I32_CONST, LANES, I32_ADD),
  );
  const again = [...get(0), ...get(end), I32_LT_U, BR_IF, 0];
  const loop = [LOOP, NO_RESULT, ...kernel.body(variable), ...forward, ...again, END];
  const locals = variables === 0 ? [0] : [1, ...leb(variables), V128];
  const code = [...locals, ...spread, ...loop, ...(kernel.result?.(variable) ?? []), END];
  return [...leb(code.length), ...code];
}

function typeOf({ pointers, scalars, result }: Kernel): Code {
  const parameters = [...range(pointers + 1).map(() => I32), ...range(scalars).map(() => F32)];
  return [0x60, ...vector(parameters.map((type) => [type])), ...vector(result ? [[F64]] : [])];
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function vector(items: readonly Code[]): Code {
  return [...leb(items.length), ...items.flat()];
}

function section(id: number, items: readonly Code[]): Code {
  const content = vector(items);
  return [id, ...leb(content.length), ...content];
}

function text(value: string): Code {
  const bytes = [...new TextEncoder().encode(value)];
  return [...leb(bytes.length), ...bytes];
}

/** The module: imports "env.memory", exports the kernels by their names. */
export function flatKernels(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, KERNELS.map(typeOf)),
    ...section(2, [[...text("env"), ...text("memory"), 0x02, 0x00, 0x00]]),
    ...section(
      3,
      KERNELS.map((_, index) => leb(index)),
    ),
    ...section(
      7,
      KERNELS.map(({ name }, index) => [...text(name), 0x00, ...leb(index)]),
    ),
    ...section(10, KERNELS.map(codeOf)),
  ]);
}
