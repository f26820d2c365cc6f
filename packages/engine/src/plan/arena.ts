// ONNX Runtime's arena, as a model of it: which bytes of memory a sequence of allocations touches.
// It deliberately holds no memory.
// @source onnxruntime/core/framework/bfc_arena.cc: best fit in bins, chunks split from twice the
// need, regions that double

const GRAIN_BYTES = 256;
const FIRST_REGION_BYTES = 2 ** 20;
const REGION_BYTES_MAX = 2 ** 30;
/** A chunk that is this much larger than needed is split, whatever its size. */
const DEAD_BYTES_MAX = 2 ** 27;

type Chunk = {
  readonly region: Region;
  start: number;
  size: number;
  used: boolean;
  previous: Chunk | undefined;
  next: Chunk | undefined;
};

/** The end of the highest byte that was ever given out. */
type Region = { touched: number };

export type Allocation = Chunk;

/** Allocations and frees, in bytes; addresses are offsets in regions that exist only as numbers. */
export class Arena {
  readonly #free = new Set<Chunk>();
  readonly #regions: Region[] = [];
  #regionBytes = FIRST_REGION_BYTES;

  allocate(bytes: number): Allocation {
    const size = Math.max(1, Math.ceil(bytes / GRAIN_BYTES)) * GRAIN_BYTES;
    const chunk = this.#fitting(size) ?? this.#extend(size);
    this.#free.delete(chunk);
    chunk.used = true;
    if (chunk.size >= 2 * size || chunk.size - size >= DEAD_BYTES_MAX) this.#split(chunk, size);
    chunk.region.touched = Math.max(chunk.region.touched, chunk.start + bytes);
    return chunk;
  }

  /** The smallest chunk that is large enough, the lowest address first. */
  #fitting(size: number): Chunk | undefined {
    let best: Chunk | undefined;
    for (const chunk of this.#free) {
      if (chunk.size < size) continue;
      if (best === undefined || chunk.size < best.size) best = chunk;
    }
    return best;
  }

  #extend(size: number): Chunk {
    const grows = size > this.#regionBytes;
    while (size > this.#regionBytes) this.#regionBytes *= 2;
    const region = { touched: 0 };
    this.#regions.push(region);
    const bytes = this.#regionBytes;
    if (!grows) this.#regionBytes = Math.min(2 * this.#regionBytes, REGION_BYTES_MAX);
    return { region, start: 0, size: bytes, used: false, previous: undefined, next: undefined };
  }

  #split(chunk: Chunk, size: number): void {
    const rest: Chunk = {
      region: chunk.region,
      start: chunk.start + size,
      size: chunk.size - size,
      used: false,
      previous: chunk,
      next: chunk.next,
    };
    if (chunk.next) chunk.next.previous = rest;
    chunk.next = rest;
    chunk.size = size;
    this.#free.add(rest);
  }

  free(chunk: Allocation): void {
    chunk.used = false;
    let merged = chunk;
    if (chunk.next?.used === false) this.#merge(chunk, chunk.next);
    if (chunk.previous?.used === false) {
      merged = chunk.previous;
      this.#merge(merged, chunk);
    }
    this.#free.add(merged);
  }

  #merge(left: Chunk, right: Chunk): void {
    this.#free.delete(right);
    left.size += right.size;
    left.next = right.next;
    if (right.next) right.next.previous = left;
  }

  /** All that was ever touched: an arena gives nothing back. */
  get touchedBytes(): number {
    return this.#regions.reduce((sum, { touched }) => sum + touched, 0);
  }
}
