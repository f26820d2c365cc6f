// What a frozen base may be stored as, and which of its tensors then is what.
// It deliberately packs nothing: formats.ts does.
import type { PackedFormat } from "../ir/tensor.ts";
import { isBlockMatrix, type ParameterSpec } from "../model/config.ts";
import { BLOCKS, canPack, packedLengths } from "./formats.ts";

/** From the largest to the smallest: bits per weight are 32, 16, 9, 5, 4.5 and 2. */
export const BASE_KINDS = ["f32", "f16", "q8", "q4", "nf4", "ternary"] as const;
export type BaseKind = (typeof BASE_KINDS)[number];

/**
 * Matrices of blocks are of the base's kind, norms and biases stay float32. Embedding and head have
 * 8 bits where blocks have 8 or fewer: rows of them are looked up one by one, and errors in the
 * head are errors in every logit. A matrix whose size fits no whole blocks is stored as f16.
 */
export function storedKind(spec: ParameterSpec, kind: BaseKind): BaseKind {
  if (kind === "f32" || spec.shape.length < 2 || POSITIONS.test(spec.name)) return "f32";
  const wanted = kind === "f16" || isBlockMatrix(spec) ? kind : "q8";
  return canPack(wanted, spec.shape) ? wanted : "f16";
}

/** Learned positions: small, and added to every token. */
const POSITIONS = /\bwpe\.weight$/;

/** Bytes of a stored tensor. */
export function storedBytes(kind: BaseKind, size: number): number {
  if (kind === "f32") return size * 4;
  const { packed, scales } = packedLengths(kind, size);
  return packed * (kind === "f16" ? 2 : 1) + scales * 4;
}

/** How many weights share a scale; 1 where there are no blocks. */
export function blockOf(kind: PackedFormat): number {
  return BLOCKS[kind];
}
