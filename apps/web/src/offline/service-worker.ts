// The service worker: the page works while the coordinator is away. It never answers for a run:
// what is live comes from the network or not at all. Nor does it keep the runtime's WASM: the
// device does (packages/worker, runtime-files.ts), which shows how far its download is.
/// <reference lib="webworker" />

declare const self: ServiceWorkerGlobalScope;
/** Replaced at build time by the names of the shell's files. */
declare const __SHELL__: readonly string[];
/** Replaced at build time by a hash of what was built. */
declare const __VERSION__: string;

const SHELL_CACHE = `shell-${__VERSION__}`;
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
  else if (/^\/assets\/.+(?<!\.wasm)$/.test(url.pathname)) event.respondWith(asset(event));
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

/** What few people need is kept when it is first used; names are hashes, so it never gets old. */
async function asset(event: FetchEvent): Promise<Response> {
  const { request } = event;
  const known = await caches.match(request, { cacheName: SHELL_CACHE });
  if (known) return known;
  const answer = await fetch(request);
  if (answer.status === 200) {
    const copy = answer.clone();
    event.waitUntil(caches.open(SHELL_CACHE).then((cache) => cache.put(request, copy)));
  }
  return answer;
}
