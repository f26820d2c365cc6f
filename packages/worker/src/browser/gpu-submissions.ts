// How long a GPU is held by one piece of work: whoever draws the page waits so long. Measured from
// outside the runtime, by following each submission to its end. Not a profile of kernels.

type Queue = {
  submit(buffers: unknown): void;
  onSubmittedWorkDone(): Promise<unknown>;
};

export type Submission = { readonly at: number; readonly doneAt: number };

/** The GPU does one after the other: each lasts from its beginning, or its predecessor's end. */
export function longestMs(submissions: readonly Submission[]): number {
  let longest = 0;
  let free = Number.NEGATIVE_INFINITY;
  for (const { at, doneAt } of submissions) {
    longest = Math.max(longest, doneAt - Math.max(at, free));
    free = Math.max(free, doneAt);
  }
  return longest;
}

/** The longest submission, in ms, of all that this thread makes during some work. */
export async function longestSubmission(
  work: () => Promise<unknown>,
  prototype: Queue | null = queuePrototype(),
): Promise<{ readonly ms: number; readonly count: number }> {
  if (!prototype) return { ms: 0, count: 0 };
  const { submit } = prototype;
  const running: Promise<Submission>[] = [];
  prototype.submit = function (this: Queue, buffers) {
    submit.call(this, buffers);
    const at = performance.now();
    const done = this.onSubmittedWorkDone().then(() => ({ at, doneAt: performance.now() }));
    running.push(done);
  };
  try {
    await work();
  } finally {
    prototype.submit = submit;
  }
  const submissions = await Promise.all(running);
  return { ms: longestMs(submissions), count: submissions.length };
}

function queuePrototype(): Queue | null {
  const queue: unknown = Reflect.get(globalThis, "GPUQueue");
  return typeof queue === "function" ? (queue.prototype as Queue) : null;
}
