// Takes a picture of every screen: phone and desktop, light and dark.
//
// Usage: npm run screens [-- words …]   only shots whose name contains one of the words
//        OUT=folder FORMAT=png CHROMIUM=path
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SHOTS } from "./shots.ts";
import { Stage } from "./stage.ts";

const OUT = process.env["OUT"] ?? join(import.meta.dirname, "../../../../docs/screens");
/** JPEG keeps the repository small. */
const IS_PNG = process.env["FORMAT"] === "png";
/** For what is drawn after the last answer: a frame or two. */
const DRAW_MS = 350;

async function main(words: readonly string[]): Promise<void> {
  mkdirSync(OUT, { recursive: true });
  const stage = await Stage.open();
  const wanted = SHOTS.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
  );
  try {
    for (const shot of wanted) {
      for (const size of ["phone", "desktop"] as const) {
        for (const theme of ["light", "dark"] as const) {
          const page = await stage.page(shot, { size, theme });
          page.on("pageerror", (error) => console.error(`${shot.name}: ${error.message}`));
          await stage.show(page, shot);
          await page.waitForTimeout(DRAW_MS);
          const path = join(OUT, `${shot.name}-${size}-${theme}.${IS_PNG ? "png" : "jpg"}`);
          const kind = IS_PNG
            ? ({ type: "png" } as const)
            : ({ type: "jpeg", quality: 72 } as const);
          await page.screenshot({ path, ...kind, fullPage: size === "desktop" });
          await page.context().close();
        }
      }
      console.log(shot.name);
    }
  } finally {
    await stage.close();
  }
}

await main(process.argv.slice(2));
