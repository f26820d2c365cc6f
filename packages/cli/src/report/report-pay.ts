// The report's accounts: who has earned what, by the run's log. Not who was paid: that is on the
// chain, and goes on after the report is written.
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { groupedText } from "../terminal/format.ts";
import { escapeText } from "./svg.ts";

/** What accounts have earned, and tokens that wait for an account. */
export type ReportAccounts = {
  readonly accounts: readonly {
    /** 0x… */
    readonly account: string;
    readonly devices: readonly string[];
    /** In the token's smallest unit. */
    readonly units: bigint;
  }[];
  readonly unnamed: readonly { readonly device: string; readonly tokens: number }[];
  /** Tokens whose windows validators have not scored yet; 0 where accepted tokens count. */
  readonly unscored: number;
};

export function paySection(run: FrozenRun, told: ReportAccounts | null, folder: string): string {
  if (!run.pay || !told) return "";
  const { token, chainId } = run.pay.chain;
  const rows = told.accounts.map(
    ({ account, devices, units }) => `<tr><td><code>${account}</code></td>
<td class="optional">${escapeText(devices.join(", "))}</td>
<td class="number">${units}</td></tr>`,
  );
  const waiting = told.unnamed.map(
    ({ device, tokens }) => `<p class="note">${escapeText(device)} has named no account:
${groupedText(tokens)} tokens wait for one.</p>`,
  );
  const unscored =
    told.unscored > 0
      ? `<p class="note">${groupedText(told.unscored)} accepted tokens wait for their validators’
scores, and are in no sum above.</p>`
      : "";
  return `<section>
<h2>Who is owed what</h2>
<div class="scroll"><table>
<thead><tr><th>account</th><th class="optional">devices</th>
<th class="number">earned</th></tr></thead>
<tbody>${rows.join("\n")}</tbody>
</table></div>
${waiting.join("\n")}
${unscored}
<p class="note">In the smallest unit of token <code>0x${token}</code> on chain ${chainId},
computed from the log. What is final and paid:
<code>npx manyhands pay status ${escapeText(folder)}</code></p>
</section>`;
}
