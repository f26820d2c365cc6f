// A frozen model in its stored form: packed once, tensor by tensor, never as a whole in float32.
// It deliberately knows no files and no graphs: pages use it too.
import { assert, defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { type ModelConfig, type ParameterSpec, parameterPlaces } from "../model/config.ts";
import { packedLengths, packWeights, unpackInto } from "./formats.ts";
import { type BaseKind, storedBytes, storedKind } from "./kinds.ts";

/** Gives weights one tensor at a time, as float32 in row-major order. */
export type WeightSource = {
  readonly config: ModelConfig;
  readParameter(spec: ParameterSpec, into: Float32Array): Promise<void>;
};

/** Flat weights, in the order of parameterSpecs, as a source. */
export function flatSource(config: ModelConfig, weights: Float32Array): WeightSource {
  const places = new Map(parameterPlaces(config).map((place) => [place.name, place] as const));
  return {
    config,
    async readParameter({ name }, into) {
      const { offset, size } = defined(places.get(name), `${name} is a parameter`);
      into.set(weights.subarray(offset, offset + size));
    },
  };
}

export type StoredTensor = ParameterSpec & {
  readonly kind: BaseKind;
  /** f32 values, bits of half floats, or packed bytes. */
  readonly data: Float32Array | Uint16Array | Uint8Array;
  readonly scales: Float32Array;
  readonly loss: PackingLoss;
};

/** What packing a tensor lost: ‖W − Ŵ‖² and ‖W‖². */
export type PackingLoss = { readonly lost: number; readonly whole: number };

export type QuantizationReport = {
  readonly kind: BaseKind;
  readonly tensors: readonly {
    readonly name: string;
    readonly kind: BaseKind;
    readonly relativeError: number;
  }[];
  /** ‖W − Ŵ‖ / ‖W‖ over all weights. */
  readonly relativeError: number;
  readonly bytes: number;
};

export type QuantizeOptions = {
  /** Called after each tensor, with weights done and weights in all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
};

/** Where a stored tensor's arrays begin in the payload of all of them: multiples of 16. */
export type StoredPlace = ParameterSpec & {
  readonly kind: BaseKind;
  readonly size: number;
  readonly dataAt: number;
  readonly scalesAt: number;
};

const ALIGNMENT = 16;

/** The stored form's layout: one place per parameter, in their order, and the bytes of all. */
export function storedPlaces(
  config: ModelConfig,
  kind: BaseKind,
): { readonly places: readonly StoredPlace[]; readonly bytes: number } {
  let bytes = 0;
  const take = (length: number): number => {
    const start = bytes;
    bytes += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    return start;
  };
  const places = parameterPlaces(config).map(({ name, shape, size }) => {
    const own = storedKind({ name, shape }, kind);
    const scaleBytes = own === "f32" ? 0 : packedLengths(own, size).scales * 4;
    const dataAt = take(storedBytes(own, size) - scaleBytes);
    return { name, shape, size, kind: own, dataAt, scalesAt: take(scaleBytes) };
  });
  return { places, bytes };
}

/** A stored tensor's arrays, as views of the payload. */
export function storedViews(
  place: StoredPlace,
  payload: Uint8Array<ArrayBuffer>,
): Pick<StoredTensor, "data" | "scales"> {
  const { kind, size } = place;
  const at = payload.byteOffset + place.dataAt;
  if (kind === "f32") {
    return { data: new Float32Array(payload.buffer, at, size), scales: new Float32Array() };
  }
  const lengths = packedLengths(kind, size);
  const scalesAt = payload.byteOffset + place.scalesAt;
  const scales = new Float32Array(payload.buffer, scalesAt, lengths.scales);
  const data =
    kind === "f16"
      ? new Uint16Array(payload.buffer, at, lengths.packed)
      : new Uint8Array(payload.buffer, at, lengths.packed);
  return { data, scales };
}

/**
 * Packs a model. At most one tensor is in float32 at a time.
 *
 * @throws what the source throws, and the signal's reason
 */
export async function quantizeBase(
  source: WeightSource,
  kind: BaseKind,
  options: QuantizeOptions = {},
): Promise<BaseModel> {
  const { places, bytes } = storedPlaces(source.config, kind);
  const payload = new Uint8Array(bytes);
  const total = places.reduce((sum, { size }) => sum + size, 0);
  const tensors: StoredTensor[] = [];
  let done = 0;
  for (const place of places) {
    options.signal?.throwIfAborted();
    const weights = new Float32Array(place.size);
    await source.readParameter(place, weights);
    const views = storedViews(place, payload);
    const loss = store(place.kind, weights, views);
    const { name, shape } = place;
    tensors.push({ name, shape, kind: place.kind, ...views, loss });
    done += place.size;
    options.onProgress?.(done, total);
  }
  return new BaseModel(source.config, kind, { tensors, payload });
}

function store(
  kind: BaseKind,
  weights: Float32Array,
  { data, scales }: Pick<StoredTensor, "data" | "scales">,
): PackingLoss {
  const values = new Float32Array(weights.length);
  if (kind === "f32") {
    data.set(weights);
    values.set(weights);
  } else {
    const own = packWeights(kind, weights);
    data.set(own.packed);
    scales.set(own.scales);
    unpackInto(own, values);
  }
  let [lost, whole] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const weight = weights[i] as number;
    lost += ((values[i] as number) - weight) ** 2;
    whole += weight ** 2;
  }
  return { lost, whole };
}

function relative({ lost, whole }: PackingLoss): number {
  return lost === 0 ? 0 : Math.sqrt(lost / whole);
}

export class BaseModel implements WeightSource {
  readonly config: ModelConfig;
  readonly kind: BaseKind;
  /** Every array of every tensor, one after the other: storedPlaces says where. */
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;

  constructor(
    config: ModelConfig,
    kind: BaseKind,
    stored: {
      readonly tensors: readonly StoredTensor[];
      readonly payload: Uint8Array<ArrayBuffer>;
    },
  ) {
    this.config = config;
    this.kind = kind;
    this.payload = stored.payload;
    this.#tensors = new Map(stored.tensors.map((tensor) => [tensor.name, tensor] as const));
  }

  /** Bytes of the stored form. */
  get bytes(): number {
    return this.payload.byteLength;
  }

  /** What packing lost, by tensor and overall. */
  get report(): QuantizationReport {
    const tensors = [...this.#tensors.values()];
    const sum = (of: (loss: PackingLoss) => number): number =>
      tensors.reduce((total, { loss }) => total + of(loss), 0);
    return {
      kind: this.kind,
      tensors: tensors.map(({ name, kind, loss }) => {
        return { name, kind, relativeError: relative(loss) };
      }),
      relativeError: relative({ lost: sum(({ lost }) => lost), whole: sum(({ whole }) => whole) }),
      bytes: this.bytes,
    };
  }

  /** What packing each tensor lost, in the order of the parameters. */
  get losses(): readonly PackingLoss[] {
    return [...this.#tensors.values()].map(({ loss }) => loss);
  }

  tensor(name: string): StoredTensor {
    return defined(this.#tensors.get(name), `the base has ${name}`);
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** A parameter's values as they multiply: unpacked. */
  async readParameter({ name }: ParameterSpec, into: Float32Array): Promise<void> {
    this.#unpack(this.tensor(name), 0, into);
  }

  /** A tensor's values as they multiply. */
  values(name: string): Float32Array<ArrayBuffer> {
    const tensor = this.tensor(name);
    const values = new Float32Array(tensor.shape.reduce((size, dim) => size * dim, 1));
    this.#unpack(tensor, 0, values);
    return values;
  }

  /** Some rows of a matrix, one after the other. @throws InputError if there is no such row */
  readRows(name: string, rows: Int32Array, into: Float32Array): void {
    const tensor = this.tensor(name);
    const [count = 0, width = 1] = tensor.shape;
    assert(into.length === rows.length * width, "a row per id");
    rows.forEach((row, i) => {
      if (!(row >= 0 && row < count)) {
        throw new InputError(`token ${row} is not in the vocabulary of ${count}`);
      }
      this.#unpack(tensor, row * width, into.subarray(i * width, (i + 1) * width));
    });
  }

  #unpack({ kind, data, scales }: StoredTensor, start: number, into: Float32Array): void {
    if (kind === "f32") into.set(data.subarray(start, start + into.length));
    else unpackInto({ format: kind, packed: data, scales }, into, start);
  }
}
