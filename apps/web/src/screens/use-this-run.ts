// The run of the address, followed with the token that its join link brought.
import { useState } from "react";
import { useParams } from "wouter";
import { takeTokenFromAddress, tokenOf } from "../feed/links.ts";
import type { RunView } from "../feed/run-view.ts";
import { useRun } from "../feed/use-run.ts";

export type ThisRun = {
  readonly runId: string;
  readonly token: string | null;
  readonly view: RunView;
};

export function useThisRun(): ThisRun {
  const { id = "" } = useParams<{ id: string }>();
  const [token] = useState(() => {
    takeTokenFromAddress(id);
    return tokenOf(id);
  });
  return { runId: id, token, view: useRun(id, token) };
}
