// What the dying coordinator and its judge have in common.
export const CRASH_FOLDER = "MANYHANDS_TEST_CRASH_FOLDER";
export const CRASH_TIMES = "MANYHANDS_TEST_CRASH_TIMES";

/** mined: in the chain, and the journal does not know yet. stored: it does, and nothing else. */
export const CRASH_STEPS = ["before-signing", "signed", "sent", "mined", "stored"] as const;
export type CrashStep = (typeof CRASH_STEPS)[number];
