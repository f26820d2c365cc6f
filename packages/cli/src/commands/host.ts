// `manyhands host [folder]`: a coordinator for any number of runs, which its owner creates and
// leads in the page.
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { HostedRuns } from "../host/host-runs.ts";
import { RunsFolder } from "../host/runs-folder.ts";
import { lanPort, openLan } from "../lan/lan.ts";
import { pageFolder } from "../page/page-folder.ts";
import { addBesideFlags, type BesideFlags, chainOf } from "../pay/chain-flags.ts";
import { listenAndStart } from "../run/listen.ts";
import { joinUrls } from "../run/messages.ts";
import { buildTarball } from "../tarball/build-tarball.ts";
import { aborted, watchInterrupts } from "../terminal/interrupts.ts";
import { type Io, print, remark } from "../terminal/io.ts";
import { DEFAULT_PORT, exampleText } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

const HELP = `
It serves every run of the folder at one address, goes on with those that are not finished, and
measures and exports each when it ends. New runs are made in the page, at the address with /owner:
a name, a text, a size, a budget. That needs the host's token, which is printed here and kept in
host.json. Whoever has it can use this machine's disk: give it to nobody.`;

type Flags = BesideFlags & {
  readonly port?: number;
  readonly host?: string;
  readonly lan?: boolean;
};

export function addHost(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("host")
    .description("host runs that you create in the page")
    .argument("[folder]", "where the runs are kept", "hosted")
    .option(
      "--port <n>",
      `port to listen on, 0 for any (default ${DEFAULT_PORT})`,
      wholeNumber(0, 65_535),
    )
    .option("--host <address>", "address to listen on (default: all of this machine)")
    .option("--lan", "answer over HTTPS too, for phones in this network");
  addBesideFlags(command)
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands host my-runs --lan"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (folder: string, flags: Flags) => {
      await hostFolder(folder, flags, io);
      setExitCode(EXIT_OK);
    });
}

async function hostFolder(folder: string, flags: Flags, io: Io): Promise<void> {
  const interrupts = watchInterrupts();
  const runs = new RunsFolder(folder);
  const host = flags.host ?? "0.0.0.0";
  try {
    const tarball = await buildTarball();
    const lan = flags.lan ? await openLan(host) : undefined;
    const hosted = await listenAndStart(flags.port, (port) =>
      HostedRuns.open({
        runs,
        host,
        port,
        secure: lan && { ...lan, port: lanPort(port) },
        tarball: () => tarball,
        page: pageFolder(),
        say: (text) => print(io, text),
        stop: interrupts.polite,
        chain: chainOf(flags),
      }),
    );
    announce(hosted, { runs, host, io });
    await aborted(interrupts.polite);
    await hosted.close();
    remark(io, "Stopped. The same command goes on with every run where its log ends.");
  } finally {
    interrupts.release();
  }
}

function announce(
  hosted: HostedRuns,
  { runs, host, io }: { readonly runs: RunsFolder; readonly host: string; readonly io: Io },
): void {
  const say = (text: string): void => print(io, text);
  const origin = hosted.url.replace("//0.0.0.0", "//localhost");
  say(`Runs of ${runs.folder}, at ${origin}`);
  say(`Create and lead them in a browser: ${origin}/owner`);
  say(`The host's token, which it asks for: ${runs.token}`);
  if (hosted.secureUrl !== null) {
    say("On a phone in the same network:");
    for (const url of joinUrls(hosted.secureUrl, host)) say(`  ${new URL(url).origin}`);
  }
  for (const run of hosted.coordinators) {
    const { name, phase } = run.status();
    say(`${name} (${phase}): ${joinUrls(run.joinUrl, host)[0]}`);
  }
}
