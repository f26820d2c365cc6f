// Somebody else's JSON, taken apart carefully: what is not an object has no fields. No rules here.

export type Json = { readonly [key: string]: unknown };

/** An object's own fields; none if it is something else. */
export function fieldsOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
