// Takes a picture of every screen: phone and desktop, light and dark.
//
// Usage: npm run screens [-- words …]   only shots whose name contains one of the words
//        OUT=folder CHROMIUM=path
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import {
  GUEST_TOKEN,
  OWNER_TOKEN,
  type PretendServer,
  startPretendServer,
} from "./pretend-server.ts";
import { pretences, type RunName, SHOTS, type Shot } from "./shots.ts";

const DIST = join(import.meta.dirname, "../../../../.cache/page-of-screens");
const OUT = process.env["OUT"] ?? join(import.meta.dirname, "../../../../docs/screens");

const SIZES = {
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800 },
} as const;
/** JPEG keeps the repository small. */
const FORMAT = process.env["FORMAT"] === "png" ? "png" : "jpg";

type SizeName = keyof typeof SIZES;

type Stage = {
  readonly browser: Browser;
  readonly server: PretendServer;
  readonly runIds: Readonly<Record<RunName, string>>;
  readonly workerIds: Readonly<Record<RunName, string | undefined>>;
};

async function main(words: readonly string[]): Promise<void> {
  mkdirSync(OUT, { recursive: true });
  const runs = pretences();
  const server = await startPretendServer(Object.values(runs), DIST);
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const each = <T>(of: (name: RunName) => T): Readonly<Record<RunName, T>> =>
    Object.fromEntries(Object.keys(runs).map((name) => [name, of(name as RunName)])) as never;
  const stage: Stage = {
    browser,
    server,
    runIds: each((name) => runs[name].run.runId),
    workerIds: each((name) => runs[name].run.workerIds[1]),
  };
  const wanted = SHOTS.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
  );
  try {
    for (const shot of wanted) {
      for (const size of ["phone", "desktop"] as const) {
        for (const theme of ["light", "dark"] as const) await take(shot, { size, theme }, stage);
      }
    }
  } finally {
    await browser.close();
    await server.close();
  }
}

type Look = { readonly size: SizeName; readonly theme: "light" | "dark" };

async function take(shot: Shot, { size, theme }: Look, stage: Stage): Promise<void> {
  const context = await stage.browser.newContext({
    viewport: SIZES[size],
    colorScheme: theme,
    isMobile: size === "phone",
    hasTouch: size === "phone",
    reducedMotion: "reduce",
    serviceWorkers: "block",
  });
  const page = await context.newPage();
  await prepare(context, shot, stage);
  page.on("pageerror", (error) => console.error(`${shot.name}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") console.error(`${shot.name}: ${message.text()}`);
  });
  const path = shot.path.replace(":run", stage.runIds[shot.run]);
  await page.goto(`${stage.server.url}${path}`);
  await settle(page, shot);
  const file = join(OUT, `${shot.name}-${size}-${theme}.${FORMAT}`);
  const kind =
    FORMAT === "png" ? ({ type: "png" } as const) : ({ type: "jpeg", quality: 76 } as const);
  await page.screenshot({ path: file, ...kind, fullPage: size === "desktop" });
  console.log(file);
  await context.close();
}

/** What the browser remembers, and what the device pretends. */
async function prepare(context: BrowserContext, shot: Shot, stage: Stage): Promise<void> {
  const runId = stage.runIds[shot.run];
  const workerId = stage.workerIds[shot.run] ?? null;
  const links = shot.isStranger ? {} : { [runId]: GUEST_TOKEN };
  const device = shot.device ? { runId, workerId, ...shot.device } : {};
  const owner = shot.isOwner ? { [runId]: OWNER_TOKEN } : {};
  const given = [{ runId, name: "shakespeare", tokens: 934_000, updates: 57 }];
  await context.addInitScript(
    ({ links, device, owner, given }) => {
      localStorage.setItem("manyhands.links", JSON.stringify(links));
      localStorage.setItem("manyhands.profile", JSON.stringify({ name: "Grace", team: "Loom" }));
      localStorage.setItem("manyhands.given", JSON.stringify(given));
      sessionStorage.setItem("manyhands.owner", JSON.stringify(owner));
      Object.assign(window, { pretend: device });
    },
    { links, device, owner, given },
  );
}

async function settle(page: Page, shot: Shot): Promise<void> {
  await page.waitForLoadState("networkidle").catch(() => undefined);
  if (shot.isAway) {
    await page.route("**/runs/**", (route) => route.abort());
    await page.getByText("The coordinator does not answer").waitFor();
  }
  if (shot.press) await page.getByRole("button", { name: shot.press }).click();
  if (shot.until) await page.getByText(shot.until).first().waitFor();
  await page.waitForTimeout(400);
}

await main(process.argv.slice(2));
