// The service worker: the shell works while the coordinator is away, and the runtime is fetched
// once. It never answers for a run: what is live comes from the network or not at all.
/// <reference lib="webworker" />

declare const self: ServiceWorkerGlobalScope;
/** Replaced at build time by the names of the shell's files. */
declare const __SHELL__: readonly string[];
/** Replaced at build time by a hash of what was built. */
declare const __VERSION__: string;

const SHELL_CACHE = `shell-${__VERSION__}`;
/** Hashed names: an entry never gets old, and a new runtime has a new name. */
const RUNTIME_CACHE = "runtime";
const NAVIGATION_WAIT_MS = 2_500;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(SHELL_CACHE)
      .then((cache) => cache.addAll(["/index.html", ...__SHELL__]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith("shell-") && name !== SHELL_CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (url.pathname.startsWith("/assets/")) event.respondWith(asset(request, url));
});

/** The newest page if the coordinator answers in time, else the one that is kept. */
async function page(request: Request): Promise<Response> {
  const kept = await caches.match("/index.html", { cacheName: SHELL_CACHE });
  if (!kept) return fetch(request);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(NAVIGATION_WAIT_MS) });
    return answer.ok ? answer : kept;
  } catch {
    // Away or too slow: the kept page says so itself.
    return kept;
  }
}

async function asset(request: Request, url: URL): Promise<Response> {
  const known = await caches.match(request);
  if (known) return known;
  const answer = await fetch(request);
  if (answer.status === 200 && /\.(?:wasm|mjs)$/.test(url.pathname)) {
    const cache = await caches.open(RUNTIME_CACHE);
    await cache.put(request, answer.clone());
  }
  return answer;
}
