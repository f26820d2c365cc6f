// The service worker's registration. Only in a built page, and only where the browser allows it.
export function registerServiceWorker(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  addEventListener("load", () => {
    navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" }).catch(() => {
      // A page without a secure context has none: it works, but not while the coordinator is away.
    });
  });
}
