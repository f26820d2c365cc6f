// Stub.
import type { ReactNode } from "react";
export function ProfileScreen(): ReactNode {
  return null;
}
