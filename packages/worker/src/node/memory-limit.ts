// How much memory workers may take where nobody said so: most of what is free now.
// It deliberately knows no run: the engine's planner compares.

/** The rest is for whoever uses the machine meanwhile. */
const FREE_SHARE = 0.8;

/**
 * Bytes for each of several processes that are yet to start. What is free is the machine's, or less
 * where the process is limited by a cgroup, as in a container.
 */
export function memoryLimit(processes: number): number {
  return Math.floor((FREE_SHARE * process.availableMemory()) / processes);
}

/** Bytes for this process: what it has already, and most of what is free. */
export function ownMemoryLimit(): number {
  return process.memoryUsage.rss() + memoryLimit(1);
}
