// Whom this browser's device is paid to in a run, for React.
import type { Payout } from "@manyhands/protocol/keys";
import { useCallback, useEffect, useState } from "react";
import { theDevice } from "../../device/use-device.ts";

export type PayoutHook = {
  readonly payout: Payout | null;
  readonly choose: (payout: Payout) => Promise<void>;
};

export function usePayout(runId: string): PayoutHook {
  const [payout, setPayout] = useState<Payout | null>(null);
  useEffect(() => {
    void theDevice().payout(runId).then(setPayout);
  }, [runId]);
  const choose = useCallback(
    async (next: Payout) => {
      await theDevice().setPayout(runId, next);
      setPayout(await theDevice().payout(runId));
    },
    [runId],
  );
  return { payout, choose };
}
