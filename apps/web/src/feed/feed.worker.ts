// The feed's thread: one follower at a time, asleep while nobody looks.
import { Follower } from "./follow.ts";
import type { FeedNews, FeedOrder } from "./run-view.ts";

let follower: Follower | null = null;
let isVisible = true;
let timer: ReturnType<typeof setTimeout> | undefined;

function tell(news: FeedNews): void {
  self.postMessage(news);
}

async function turn(mine: Follower): Promise<void> {
  const waitMs = await mine.ask();
  if (follower !== mine || !isVisible) return;
  timer = setTimeout(() => void turn(mine), waitMs);
}

function start(): void {
  clearTimeout(timer);
  if (follower && isVisible) void turn(follower);
}

self.onmessage = ({ data }: MessageEvent<FeedOrder>) => {
  if (data.kind === "follow") follower = new Follower({ ...data, tell });
  else if (data.kind === "stop") follower = null;
  else isVisible = data.visible;
  start();
};
