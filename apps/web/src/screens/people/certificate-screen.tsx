// Stub.
import type { ReactNode } from "react";
export function CertificateScreen(): ReactNode {
  return null;
}
