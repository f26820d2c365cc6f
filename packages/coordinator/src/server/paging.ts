// `?from=&limit=` of the lists: the same for rows, rounds and columns.
import { reject } from "@manyhands/protocol/rejects";
import type { FastifyReply } from "fastify";
import { refuseWith } from "./answers.ts";

export type PageQuery = { readonly from?: string; readonly limit?: string };

const WHOLE_NUMBER = /^\d{1,15}$/;

/** Where to begin and how many, at most `limitMax`; null if one is no whole number. */
export function pageOf(
  query: PageQuery,
  limitMax: number,
): { readonly from: number; readonly limit: number } | null {
  const { from = "0", limit = String(limitMax) } = query;
  if (!WHOLE_NUMBER.test(from) || !WHOLE_NUMBER.test(limit)) return null;
  return { from: Number(from), limit: Math.min(Number(limit), limitMax) };
}

export function refusePage(reply: FastifyReply): FastifyReply {
  return refuseWith(reply, reject("message/malformed", "from and limit are whole numbers"));
}
