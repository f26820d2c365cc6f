// Each limit by its name, with a simulated device: what it stops, in which words, and what lets it
// go on.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addBytes } from "./data-today.ts";
import { type Conditions, govern, REST_MS_MIN, restMs, verdictOf } from "./governor.ts";
import { afterRest, afterStep, COLD, HEAT_REST_MS, type Heat, shareOf } from "./heat.ts";
import { type DeviceSettings, defaultSettings, settingsDecoder } from "./settings.ts";

const FREE: DeviceSettings = {
  power: 1,
  onlyCharging: false,
  onlyUnmetered: false,
  onlyVisible: false,
  hours: null,
  dataBytesPerDay: null,
  memoryBytesMax: null,
  keepAwake: false,
};
const CALM: Conditions = {
  charging: true,
  metered: false,
  visible: true,
  minuteOfDay: 12 * 60,
  bytesToday: 0,
  memoryBytes: 100e6,
  heat: COLD,
};

function told(settings: Partial<DeviceSettings>, conditions: Partial<Conditions>): string {
  const verdict = verdictOf({ ...FREE, ...settings }, { ...CALM, ...conditions });
  return verdict.kind === "run" ? `run ${verdict.duty}` : `${verdict.code}: ${verdict.sentence}`;
}

test("without limits it works all the time, whatever the device tells", () => {
  const nothing = { charging: null, metered: null, visible: false };
  assert.equal(told({}, nothing), "run 1");
  assert.equal(told({}, { charging: false, metered: true, bytesToday: 1e12 }), "run 1");
});

const finite = (min: number, max: number): fc.Arbitrary<number> =>
  fc.double({ min, max, noNaN: true });

test("power: a share of the time, and rests that make it so", () => {
  assert.equal(told({ power: 0.5 }, {}), "run 0.5");
  assert.equal(restMs(100, 0.5), 100);
  assert.equal(restMs(100, 0.1), 900);
  assert.equal(restMs(100, 1), 0);
  fc.assert(
    fc.property(finite(1, 1e3), finite(0.1, 1), (work, duty) => {
      const share = work / (work + restMs(work, duty));
      assert.ok(Math.abs(share - duty) < 1e-9);
    }),
    { numRuns: 200 },
  );
});

test("only while charging: rests on battery, and where the browser does not tell it says so", () => {
  const limit = { onlyCharging: true };
  assert.equal(told(limit, {}), "run 1");
  const battery = told(limit, { charging: false });
  assert.equal(battery, "battery: Resting until the device is charging.");
  assert.match(told(limit, { charging: null }), /^charging-unknown: .*does not tell.*Switch off/);
});

test("only on unmetered networks: rests on a metered one, and where the browser does not tell", () => {
  const limit = { onlyUnmetered: true };
  assert.equal(told(limit, {}), "run 1");
  assert.match(told(limit, { metered: true }), /^metered: Resting until/);
  assert.match(told(limit, { metered: null }), /^network-unknown: .*does not tell.*Switch off/);
});

test("only when visible: rests behind other pages", () => {
  assert.equal(told({ onlyVisible: true }, {}), "run 1");
  assert.match(told({ onlyVisible: true }, { visible: false }), /^hidden: .*not in front/);
});

test("daily schedule: by day, over midnight, and the whole day", () => {
  const at = (hours: number): Partial<Conditions> => ({ minuteOfDay: hours * 60 });
  const day = { hours: { from: 9 * 60, to: 17 * 60 + 30 } };
  assert.equal(told(day, at(9)), "run 1");
  assert.equal(told(day, at(17.5)), "hours: Resting until 9:00, as you planned.");
  const night = { hours: { from: 22 * 60, to: 6 * 60 } };
  for (const hour of [22, 23, 0, 5]) assert.equal(told(night, at(hour)), "run 1", `${hour}`);
  for (const hour of [6, 12, 21]) assert.match(told(night, at(hour)), /^hours: .*22:00/);
  assert.equal(told({ hours: { from: 60, to: 60 } }, at(5)), "run 1");
});

test("data cap: what is used up today begins anew tomorrow", () => {
  const limit = { dataBytesPerDay: 50e6 };
  let today = addBytes({ day: "2026-11-21", bytes: 0 }, "2026-11-21", 49e6);
  assert.equal(told(limit, { bytesToday: today.bytes }), "run 1");
  today = addBytes(today, "2026-11-21", 1e6);
  assert.match(
    told(limit, { bytesToday: today.bytes }),
    /^data: Today’s 50 MB of data are used up/,
  );
  today = addBytes(today, "2026-11-22", 0);
  assert.equal(told(limit, { bytesToday: today.bytes }), "run 1");
});

test("memory cap: a run that needs more rests, and says both numbers", () => {
  const limit = { memoryBytesMax: 150e6 };
  assert.equal(told(limit, { memoryBytes: 150e6 }), "run 1");
  assert.equal(told(limit, { memoryBytes: null }), "run 1");
  assert.match(told(limit, { memoryBytes: 151e6 }), /^memory: .*about 151 MB.*you allow 150 MB/);
});

function heated(heat: Heat, micros: number, readings: number, now = 0): Heat {
  let next = heat;
  for (let step = 0; step < 20 * readings; step++) next = afterStep(next, micros, now);
  return next;
}

test("heat: slower steps make it work less, then rest; it comes back slowly", () => {
  let heat = heated(COLD, 300_000, 3);
  assert.equal(told({}, { heat }), "run 1");
  heat = heated(heat, 480_000, 1);
  assert.equal(told({}, { heat }), "run 0.75");
  heat = heated(heat, 480_000, 1);
  assert.equal(told({ power: 0.5 }, { heat }), "run 0.25");
  heat = heated(heat, 480_000, 1, 1_000);
  assert.match(told({}, { heat }), /^heat: .*probably hot, or busy/);
  assert.equal(afterRest(heat, 1_000 + HEAT_REST_MS - 1), heat);
  heat = afterRest(heat, 1_000 + HEAT_REST_MS);
  assert.equal(told({}, { heat }), "run 0.5");
  heat = heated(heat, 330_000, 2);
  assert.equal(told({}, { heat }), "run 0.75");
  heat = heated(heat, 330_000, 2);
  assert.equal(told({}, { heat }), "run 1");
});

test("heat: between hot and cool everything stays as it is, and single slow steps say nothing", () => {
  const warm = heated(heated(COLD, 300_000, 1), 480_000, 1);
  assert.equal(heated(warm, 405_000, 50).level, 1);
  let heat = heated(COLD, 300_000, 1);
  for (let step = 0; step < 400; step++)
    heat = afterStep(heat, step % 3 === 0 ? 5_000_000 : 300_000, 0);
  assert.equal(heat.level, 0);
});

test("heat: short steps are taken together, so a moment of other work says nothing", () => {
  let heat = COLD;
  for (let step = 0; step < 20_000; step++) heat = afterStep(heat, 2_000, 0);
  for (let step = 0; step < 500; step++) heat = afterStep(heat, 6_000, 0);
  assert.equal(heat.level, 0, "3 s of a busy machine");
  for (let step = 0; step < 1_000; step++) heat = afterStep(heat, 6_000, 0);
  assert.equal(heat.level, 1, "9 s");
});

test("heat: whatever the steps take, the level moves by one, and only a rest is no share", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1e6 }), { maxLength: 300 }), (steps) => {
      let heat = COLD;
      for (const [now, micros] of steps.entries()) {
        const next = afterStep(heat, micros, now);
        assert.ok(Math.abs(next.level - heat.level) <= 1);
        assert.equal(shareOf(next) === 0, next.restUntil !== null);
        heat = next;
      }
    }),
    { numRuns: 100 },
  );
});

test("a cable that wiggles does not make it start and stop", () => {
  const settings = { ...FREE, onlyCharging: true };
  const at = (charging: boolean) => ({ ...CALM, charging });
  const running = govern(null, settings, at(true), 0);
  const resting = govern(running, settings, at(false), 1_000);
  assert.equal(resting.verdict.kind, "rest");
  assert.deepEqual(govern(resting, settings, at(true), 1_500), resting);
  assert.equal(govern(resting, settings, at(true), 1_000 + REST_MS_MIN).verdict.kind, "run");
  assert.equal(govern(resting, FREE, at(false), 1_500).verdict.kind, "run", "switched off by hand");
});

test("a page that comes to the front goes on at once", () => {
  const settings = { ...FREE, onlyVisible: true };
  const hidden = govern(null, settings, { ...CALM, visible: false }, 0);
  assert.equal(govern(hidden, settings, CALM, 1).verdict.kind, "run");
});

const settingsArb: fc.Arbitrary<DeviceSettings> = fc.record({
  power: fc.double({ min: 0.1, max: 1, noNaN: true }),
  onlyCharging: fc.boolean(),
  onlyUnmetered: fc.boolean(),
  onlyVisible: fc.boolean(),
  hours: fc.option(fc.record({ from: fc.nat(1_439), to: fc.nat(1_439) })),
  dataBytesPerDay: fc.option(fc.nat()),
  memoryBytesMax: fc.option(fc.nat()),
  keepAwake: fc.boolean(),
});
const conditionsArb: fc.Arbitrary<Conditions> = fc.record({
  charging: fc.option(fc.boolean()),
  metered: fc.option(fc.boolean()),
  visible: fc.boolean(),
  minuteOfDay: fc.nat(1_439),
  bytesToday: fc.nat(),
  memoryBytes: fc.option(fc.nat()),
  heat: fc.constant(COLD),
});

test("it never works against a limit, and says one sentence when it rests", () => {
  fc.assert(
    fc.property(settingsArb, conditionsArb, (settings, conditions) => {
      const verdict = verdictOf(settings, conditions);
      if (verdict.kind === "rest") {
        assert.match(verdict.sentence, /^[A-Z].*\.$/);
        return;
      }
      assert.ok(verdict.duty > 0 && verdict.duty <= settings.power);
      assert.ok(!settings.onlyCharging || conditions.charging === true);
      assert.ok(!settings.onlyUnmetered || conditions.metered === false);
      assert.ok(!settings.onlyVisible || conditions.visible);
      assert.ok(conditions.bytesToday < (settings.dataBytesPerDay ?? Number.POSITIVE_INFINITY));
    }),
    { numRuns: 500 },
  );
});

test("defaults: quiet on a phone, and no limit that the browser could not check", () => {
  const phone = defaultSettings({ isPhone: true, tellsCharging: true, tellsNetwork: true });
  assert.deepEqual([phone.power, phone.onlyCharging, phone.onlyVisible], [0.5, true, true]);
  const iPhone = defaultSettings({ isPhone: true, tellsCharging: false, tellsNetwork: false });
  assert.deepEqual([iPhone.onlyCharging, iPhone.onlyUnmetered], [false, false]);
  const unknown = { ...CALM, charging: null, metered: null };
  assert.equal(verdictOf(iPhone, unknown).kind, "run");
  for (const settings of [phone, iPhone]) assert.ok(settingsDecoder(settings).ok);
  assert.equal(settingsDecoder({ ...phone, power: 0 }).ok, false);
});
