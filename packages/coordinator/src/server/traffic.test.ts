import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { RunTraffic, TrafficMeter } from "./traffic.ts";

/** A socket as the meter sees it. */
function fakeSocket(): Socket & { bytesRead: number; bytesWritten: number } {
  return Object.assign(new EventEmitter(), { bytesRead: 0, bytesWritten: 0 }) as never;
}

const ADA = "aa".repeat(32);
const BOB = "bb".repeat(32);

test("bytes before a socket's worker is known are that worker's too, and each is counted once", () => {
  const meter = new TrafficMeter();
  const account = new RunTraffic();
  const socket = fakeSocket();
  meter.track(socket);
  socket.bytesRead = 100;
  meter.attribute(socket, account, null);
  meter.settleAll();
  socket.bytesRead = 150;
  socket.bytesWritten = 40;
  meter.attribute(socket, account, ADA);
  meter.settleAll();
  meter.settleAll();
  assert.deepEqual(account.totals().total, { bytesUp: 150, bytesDown: 40 });
  socket.bytesWritten = 60;
  socket.emit("close");
  assert.deepEqual(account.totals().workers.get(ADA), { bytesUp: 150, bytesDown: 60 });
});

test("a socket that serves two workers, one after the other, is divided between them", () => {
  const meter = new TrafficMeter();
  const account = new RunTraffic();
  const socket = fakeSocket();
  meter.track(socket);
  meter.attribute(socket, account, ADA);
  socket.bytesRead = 10;
  meter.attribute(socket, account, BOB);
  socket.bytesRead = 15;
  socket.emit("close");
  assert.equal(account.totals().workers.get(ADA)?.bytesUp, 10);
  assert.equal(account.totals().workers.get(BOB)?.bytesUp, 5);
  assert.equal(account.totals().total.bytesUp, 15);
});

test("a visitor's bytes are the run's, and no worker's", () => {
  const meter = new TrafficMeter();
  const account = new RunTraffic();
  const socket = fakeSocket();
  meter.track(socket);
  meter.attribute(socket, account, null);
  socket.bytesWritten = 7;
  socket.emit("close");
  assert.equal(account.totals().total.bytesDown, 7);
  assert.equal(account.totals().workers.size, 0);
});

test("totals survive as a record, and anything else begins at nothing", () => {
  const account = new RunTraffic();
  account.add(ADA, { bytesUp: 1, bytesDown: 2 });
  account.add(null, { bytesUp: 10, bytesDown: 20 });
  const again = new RunTraffic(account.record());
  assert.deepEqual(again.totals().total, { bytesUp: 11, bytesDown: 22 });
  assert.deepEqual(again.totals().workers.get(ADA), { bytesUp: 1, bytesDown: 2 });
  assert.deepEqual(new RunTraffic({ bytesUp: -1 }).totals().total, { bytesUp: 0, bytesDown: 0 });
});
