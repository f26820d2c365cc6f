// Stub.
import type { ReactNode } from "react";
export function OwnerScreen(): ReactNode {
  return null;
}
