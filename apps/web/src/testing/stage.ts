// A browser in front of pretend runs: what the pictures and the tests of the built page share.
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { pretendWallet } from "./pretend-money.ts";
import {
  GUEST_TOKEN,
  OWNER_TOKEN,
  type PretendServer,
  startPretendServer,
} from "./pretend-server.ts";
import { pretendWriter } from "./pretend-writer.ts";
import { pretences, type RunName, type Shot } from "./shots.ts";

const DIST = join(import.meta.dirname, "../../../../.cache/page-of-screens");

export const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800 },
} as const;

/** What a thread of an isolated page must come with. */
const SAME_ORIGIN = {
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

export type Look = {
  readonly size: keyof typeof SIZES;
  readonly theme: "light" | "dark";
};

export class Stage {
  readonly server: PretendServer;
  readonly #browser: Browser;
  readonly #runs: ReturnType<typeof pretences>;

  private constructor(parts: {
    readonly server: PretendServer;
    readonly browser: Browser;
    readonly runs: ReturnType<typeof pretences>;
  }) {
    this.server = parts.server;
    this.#browser = parts.browser;
    this.#runs = parts.runs;
  }

  static async open(): Promise<Stage> {
    const runs = pretences();
    const server = await startPretendServer(Object.values(runs), DIST);
    const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    return new Stage({ server, browser, runs });
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.server.close();
  }

  runId(name: RunName): string {
    return this.#runs[name].run.runId;
  }

  /** A fresh browser with what the shot says that it remembers; nothing is opened yet. */
  async page(shot: Shot, { size, theme }: Look): Promise<Page> {
    const context = await this.#browser.newContext({
      viewport: SIZES[size],
      colorScheme: theme,
      isMobile: size === "phone",
      hasTouch: size === "phone",
      reducedMotion: "reduce",
      serviceWorkers: "block",
    });
    await this.#remember(context, shot);
    if (shot.writer !== undefined) {
      const body = pretendWriter(shot.writer);
      await context.route(/\/assets\/model\.worker-/, (route) =>
        route.fulfill({ body, contentType: "text/javascript", headers: SAME_ORIGIN }),
      );
    }
    if (shot.walletOn !== undefined) await context.addInitScript(pretendWallet(shot.walletOn));
    return context.newPage();
  }

  /** Opens the shot's screen and does what it says. */
  async show(page: Page, shot: Shot): Promise<void> {
    const path = shot.path.replace(":run", this.runId(shot.run));
    await page.goto(`${this.server.url}${path}`);
    await page.getByRole("heading").first().waitFor();
    await page.waitForLoadState("networkidle").catch(() => undefined);
    if (shot.isAway) {
      await page.route("**/runs/**", (route) => route.abort());
      await page.getByText("The coordinator does not answer").waitFor();
    }
    for (const name of shot.switches ?? []) await page.getByRole("switch", { name }).check();
    if (shot.press) await page.getByRole("button", { name: shot.press }).click();
    if (shot.until) await page.getByText(shot.until).first().waitFor();
  }

  /** What the browser remembers, and what the device pretends. */
  async #remember(context: BrowserContext, shot: Shot): Promise<void> {
    const runId = this.runId(shot.run);
    const workerId = this.#runs[shot.run].run.workerIds[1] ?? null;
    const memory = {
      links: shot.isStranger ? {} : { [runId]: GUEST_TOKEN },
      owner: shot.isOwner ? { [runId]: OWNER_TOKEN } : {},
      given: [{ runId, name: "shakespeare", tokens: 934_000, updates: 57 }],
      pretendPayout: shot.payout ?? null,
      pretend: shot.device ? { runId, workerId, ...shot.device } : {},
    };
    await context.addInitScript(({ links, owner, given, pretend, pretendPayout }) => {
      localStorage.setItem("manyhands.links", JSON.stringify(links));
      localStorage.setItem("manyhands.profile", JSON.stringify({ name: "Grace", team: "Loom" }));
      localStorage.setItem("manyhands.given", JSON.stringify(given));
      sessionStorage.setItem("manyhands.owner", JSON.stringify(owner));
      Object.assign(window, { pretend, pretendPayout });
    }, memory);
  }
}
