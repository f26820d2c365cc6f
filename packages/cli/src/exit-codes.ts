// What a script can tell from how a command ended. The same numbers for every command.

/** The command did what was asked. */
export const EXIT_OK = 0;
/** Something failed while it ran: disk, network, a worker, a check that did not agree. */
export const EXIT_FAILED = 1;
/** What the person gave is wrong: a flag, the run file, an address. Nothing was started. */
export const EXIT_INPUT = 2;
/** Interrupted by Ctrl-C or a signal before the end; a run can be continued. */
export const EXIT_INTERRUPTED = 130;

export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  something failed while it ran
  2  a flag, file or address is wrong
  130  interrupted (a run continues with the same command)`;
