// The device's thread: all of it is the worker package's.
import "@manyhands/worker/browser/device-worker";
