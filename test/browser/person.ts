// What a person does with the bare page, and what they see of it: helpers of the tests beside this.
import assert from "node:assert/strict";
import type { Coordinator } from "@manyhands/coordinator/serve";
import type { Device, DeviceSettings, DeviceView } from "@manyhands/worker/browser/device-view";
import type { BrowserContext, Page } from "playwright-core";

declare const device: Device;
declare function seen(parts: Partial<DeviceView>): Promise<DeviceView>;

export async function open(
  person: BrowserContext,
  coordinator: Coordinator,
  query = "",
): Promise<Page> {
  const page = await person.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  await page.goto(coordinator.joinUrl.replace("#", `${query}#`));
  await page.waitForFunction("globalThis.device !== undefined");
  return page;
}

/** As the page of the product does: looks first. */
export function look(page: Page, coordinator: Coordinator): Promise<DeviceView> {
  return page.evaluate((url) => {
    device.look(url);
    return seen({ phase: "ready" });
  }, coordinator.joinUrl);
}

export async function start(
  page: Page,
  coordinator: Coordinator,
  settings: Partial<DeviceSettings> = {},
): Promise<void> {
  await look(page, coordinator);
  await page.evaluate(
    ([url, changes]) => {
      device.setSettings({ ...device.settings(), power: 1, onlyCharging: false, ...changes });
      device.start(url, "browser");
    },
    [coordinator.joinUrl, settings] as const,
  );
}

export function until(page: Page, parts: Partial<DeviceView>): Promise<DeviceView> {
  return page.evaluate((wanted) => seen(wanted), parts);
}

/** More updates than now have been accepted. */
export async function oneMoreUpdate(page: Page): Promise<DeviceView> {
  return page.evaluate(async () => {
    const { updates } = device.view();
    while (device.view().updates <= updates) {
      await new Promise<void>((resolve) => {
        const stop = device.subscribe(() => {
          stop();
          resolve();
        });
      });
    }
    return device.view();
  });
}

export function creditOf(coordinator: Coordinator, workerId: string | null): number {
  return coordinator.status().workers.find((it) => it.workerId === workerId)?.credit ?? 0;
}
