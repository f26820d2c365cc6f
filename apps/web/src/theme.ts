// Light, dark, or as the device: kept in this browser.
export type Theme = "auto" | "light" | "dark";

const PLACE = "manyhands.theme";

export function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(PLACE);
    return kept === "light" || kept === "dark" ? kept : "auto";
  } catch {
    // No storage: as the device.
    return "auto";
  }
}

export function setTheme(theme: Theme): void {
  try {
    if (theme === "auto") localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, theme);
  } catch {
    // Without storage the choice holds until the page is closed.
  }
  show(theme);
}

export function applyTheme(): void {
  show(readTheme());
}

function show(theme: Theme): void {
  const { dataset } = document.documentElement;
  if (theme === "auto") delete dataset["theme"];
  else dataset["theme"] = theme;
}
