// Stub.
import type { ReactNode } from "react";
export function ModelScreen(): ReactNode {
  return null;
}
