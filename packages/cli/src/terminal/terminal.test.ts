import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveScreen } from "../view/live-screen.ts";
import {
  bytesText,
  clockText,
  countText,
  durationText,
  groupedText,
  lossText,
  shareText,
  timesText,
} from "./format.ts";
import { isNewPress } from "./interrupts.ts";
import { progressBar, sparkline } from "./sparkline.ts";

test("numbers as people read them", () => {
  const table: readonly (readonly [string, string])[] = [
    [bytesText(0), "0 B"],
    [bytesText(999), "999 B"],
    [bytesText(999.6), "1.00 kB"],
    [bytesText(1_234_567), "1.23 MB"],
    [bytesText(45_600_000_000), "45.6 GB"],
    [bytesText(2e18), "2000 PB"],
    [countText(999), "999"],
    [countText(12_345), "12.3k"],
    [countText(999_499), "999k"],
    [countText(999_999), "1.00M"],
    [groupedText(4_000_000), "4\u202f000\u202f000"],
    [clockText(7_400), "0:07"],
    [clockText(282_000), "4:42"],
    [clockText(3_723_000), "1:02:03"],
    [clockText(-5), "0:00"],
    [durationText(420), "0.42 s"],
    [durationText(12_300), "12.3 s"],
    [durationText(282_000), "4 min 42 s"],
    [durationText(7_500_000), "2 h 05 min"],
    [lossText(null), "–"],
    [lossText(1.5419), "1.542"],
    [timesText(3.21), "3.2\u202f×"],
    [timesText(212.4), "212\u202f×"],
    [timesText(Number.POSITIVE_INFINITY), "–"],
    [shareText(0.0123), "1.2 %"],
    [shareText(0.4), "40 %"],
  ];
  for (const [found, expected] of table) assert.equal(found, expected);
});

test("a curve in a line", () => {
  assert.equal(sparkline([], 10), "");
  assert.equal(sparkline([5], 10), "▁");
  assert.equal(sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8), "█▇▆▅▄▃▂▁");
  assert.equal(sparkline([1, 1, 2, 2], 2), "▁█");
  assert.equal(sparkline([1, Number.NaN, 2], 10), "▁█");
  assert.equal(progressBar(0.5, 4), "━━──");
  assert.equal(progressBar(7, 4), "━━━━");
});

test("one press may be delivered more than once; another one comes later", () => {
  assert.equal(isNewPress(1_000, null), true);
  assert.equal(isNewPress(1_200, 1_000), false);
  assert.equal(isNewPress(1_500, 1_000), true);
});

test("the live screen overwrites its own lines and nothing above", () => {
  let written = "";
  const screen = new LiveScreen({ write: (text) => (written += text) });
  screen.draw(["a", "b"]);
  written = "";
  screen.draw(["c"]);
  assert.equal(written, "\u001b[2A\rc\u001b[0K\n\u001b[0J");
  written = "";
  screen.printAbove("note");
  assert.equal(written, "\u001b[1A\r\u001b[0Jnote\n");
  written = "";
  screen.close();
  screen.close();
  assert.equal(written, "\u001b[?25h");
});
