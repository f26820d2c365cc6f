// Submissions followed to their ends, on a queue that a test completes; and how a batch is cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { smallerMicroBatch } from "../compute/held-gpu.ts";
import { longestMs, longestSubmission } from "./gpu-submissions.ts";

test("each submission lasts from when the GPU was free for it", () => {
  const back = [
    { at: 0, doneAt: 30 },
    { at: 1, doneAt: 50 },
    { at: 60, doneAt: 65 },
  ];
  assert.equal(longestMs(back), 30);
  assert.equal(longestMs([...back, { at: 61, doneAt: 200 }]), 135);
  assert.equal(longestMs([]), 0);
});

test("a thread's submissions are followed during the work, and not after it", async () => {
  const submitted: unknown[] = [];
  const queue = {
    submit: (buffers: unknown) => void submitted.push(buffers),
    onSubmittedWorkDone: () => Promise.resolve(),
  };
  const plain = queue.submit;
  const { count } = await longestSubmission(async () => {
    queue.submit("a");
    queue.submit("b");
  }, queue);
  assert.equal(count, 2);
  assert.equal(queue.submit, plain);
  await assert.rejects(
    longestSubmission(() => Promise.reject(new Error("no device")), queue),
    /no device/,
  );
  assert.equal(queue.submit, plain);
  assert.deepEqual(submitted, ["a", "b"]);
});

test("a piece divides the batch, is smaller than before, and as small as the times ask for", () => {
  assert.equal(smallerMicroBatch(16, 16, 0.5), 8);
  assert.equal(smallerMicroBatch(16, 16, 0.99), 8);
  assert.equal(smallerMicroBatch(12, 12, 0.4), 4);
  assert.equal(smallerMicroBatch(8, 8, 0.01), 1);
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 64 }), fc.double({ min: 0, max: 1 }), (batch, share) => {
      const piece = smallerMicroBatch(batch, batch, share);
      assert.ok(piece >= 1 && piece < batch && batch % piece === 0);
    }),
  );
});
