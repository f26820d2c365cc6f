// How a command says how it ended; commander's actions return nothing.

export type SetExitCode = (code: number) => void;
