// Every word that the page says, in one place; but for words about money, which are texts-pay.ts's
// and loaded with them. A translation is a second object of this type.
// Not numbers: how those are written is format.ts.
import { bytesText, countText, durationText, groupedText, lossText, shareText } from "./format.ts";

const plural = (count: number, one: string, many: string): string =>
  `${groupedText(count)} ${count === 1 ? one : many}`;

const frame = {
  product: "Manyhands",
  skip: "To the content",
  mainNavigation: "Manyhands",
  runNavigation: "This run",
  loading: "One moment.",
  home: "Runs",
  limits: "Limits",
  profile: "Profile",
  owner: "Owner",
  contribute: "Contribute",
  watch: "Watch",
  ledger: "Ledger",
  model: "Model",
  people: "People",
  away: "The coordinator does not answer.",
  awaySince: (ago: string): string =>
    `Last heard from it ${ago} ago. What you see is from then; the page keeps asking.`,
  awayNever: "The page keeps asking. Is the computer that hosts the run on, and on this network?",
  offline: "This device is offline. The page goes on when the network is back.",
  notFoundTitle: "There is nothing here",
  notFound: "This address belongs to no screen of Manyhands.",
  unknownRun: "There is no such run here",
  unknownRunWhy:
    "This coordinator does not host the run of that link. It may have moved: ask the person who " +
    "sent you the link.",
  brokenTitle: "This screen broke",
  broken:
    "It is a mistake of ours. Loading the page again usually helps; nothing of yours is lost.",
  reload: "Load again",
  newVersion: "There is a newer version of this page.",
  needsLink: "For this the page needs the run's join link. Open it once in this browser.",
};

const home = {
  title: "Many devices, one model",
  lead:
    "Each device trains for a short while on its own, sends a small update, and gets everybody's " +
    "progress back. No account, and no work while you need your device.",
  runsHere: "Runs on this coordinator",
  none: "No run is open here yet.",
  invited: "invited",
  withLink: "You have a join link",
  paste: "Join link",
  pasteHelp: "It looks like https://…/runs/… with a # near its end.",
  open: "Open",
  notALink: "This is no join link. Copy it whole, with everything after the #.",
  elsewhere: "That run is on another coordinator. Opening it there.",
  round: (round: number): string => `round ${groupedText(round)}`,
};

const phases = {
  waiting: "between rounds",
  training: "training",
  closing: "putting updates together",
  paused: "paused",
  finished: "finished",
};

const contribute = {
  title: (name: string): string => `Help train “${name}”`,
  what: (parameters: number, files: string): string =>
    `A language model of ${countText(parameters)} parameters that learns to write by reading ` +
    `${files}.`,
  whatWithoutFiles: (parameters: number): string =>
    `A language model of ${countText(parameters)} parameters that learns to write.`,
  why:
    "The run's owner publishes the result as an ordinary model file. What you give is written " +
    "down in a signed log, so that your part can be shown, and checked by anybody.",
  looking: "Looking at what this device can do…",
  fits: "This device fits.",
  tooSmall: "This device is too small for this run.",
  perhaps: "It may fit: this browser does not say how much memory there is.",
  cannot: "This browser cannot train.",
  otherRun: "A run that fits",
  noOtherRun:
    "Another device may train it. This coordinator has no other run that fits here and whose " +
    "link this browser has opened; you can still watch this one.",
  begin: "Train with this device",
  beginAnyway: "Try it",
  resume: "Go on training",
  again: "Take part again",
  beforeTitle: "Before anything is loaded",
  download: "To download",
  downloadKept: "kept here already",
  runtime: "the engine",
  data: "the text",
  weights: "the model",
  perRound: "Each round, about",
  memory: "Memory",
  computeBy: "Computes on",
  gpu: "this device's graphics processor",
  wasm: "this device's processor",
  battery: "Battery",
  batteryWords:
    "Training is hard work for a device. On a phone, plug it in; by default it trains only while " +
    "charging, and rests when it gets slow from heat.",
  stays: "What leaves this device",
  staysWords: "Small updates of the model, and the name that you choose. Nothing else of yours.",
  joinNeeded: "You are looking at this run from outside",
  ownTokens: "Your tokens",
  updates: "Accepted updates",
  share: "Your share of the run",
  speed: "Speed now",
  perSecond: "tokens/s",
  dataUsed: "Data used",
  firstUpdate: "First update after",
  now: "What this device is doing",
  stepOf: (step: number, steps: number): string => `step ${step} of ${steps}`,
  roundProgress: "Progress of this device's part of the round",
  pause: "Pause",
  goOn: "Go on",
  finish: "Finish this round, then stop",
  finishing: "Stopping after this round",
  leave: "Leave the run",
  leaveSure: "Leave? What you gave stays yours. The part of this round that is not sent is lost.",
  leaveYes: "Leave",
  leaveNo: "Stay",
  keepAwake: "Keep the screen on",
  dim: "Darken the screen",
  dimHint: "Training goes on. Touch to come back.",
  changeLimits: "Change when and how hard it may work",
  otherTab: "Another tab of this browser trains already.",
  otherWork: "This device is at work for another run",
  toOtherWork: "Go there to finish or to leave it; then it can train this one.",
  runProgress: "The whole run",
  loss: "Loss",
  lossHelp: "How surprised the model is by the next character; it learns when this falls.",
  thanksTitle: "Thank you",
  thanks: (tokens: number, updates: number): string =>
    `You gave ${countText(tokens)} tokens in ${plural(updates, "update", "updates")}.`,
  runOver: "This run is finished. Its model can be tried here.",
  certificate: "Your certificate",
  tryModel: "Try the model",
  reading: "Downloading",
  readingOf: (done: number, total: number): string => `${bytesText(done)} of ${bytesText(total)}`,
};

const watch = {
  title: "The run",
  lossTitle: "Loss",
  lossHelp: "nats per character, lower is better",
  training: "training, all devices",
  validation: "validation, all devices",
  own: "training, this device",
  speedTitle: "Tokens per second",
  speed: "tokens/s of each round",
  lossWords: (first: number, last: number, rounds: number): string =>
    `Training loss from ${lossText(first)} to ${lossText(last)} over ` +
    `${plural(rounds, "round", "rounds")}.`,
  speedWords: (rate: number): string => `${groupedText(rate)} tokens per second in the last round.`,
  noRounds: "The first round has not closed yet. Its numbers will appear here by themselves.",
  tokens: "Tokens",
  of: (total: string): string => `of ${total}`,
  rounds: "Rounds",
  workersHere: "Devices here",
  ofAll: (count: number): string => `of ${groupedText(count)}`,
  rate: "Speed",
  left: "Time left",
  validationNow: "Validation loss",
  progress: "Progress of the run's budget",
  roundsTitle: "Rounds",
  roundsWords: (rounds: number, ms: number): string =>
    `${plural(rounds, "round", "rounds")}, ${durationText(ms)} in the middle of them.`,
  round: (round: number): string => `Round ${groupedText(round)}`,
  roundsFrom: ([first, last]: readonly [number, number]): string =>
    first === last
      ? `Round ${groupedText(first)}`
      : `Rounds ${groupedText(first)} to ${groupedText(last)}`,
  devices: (count: number): string => plural(count, "device", "devices"),
  late: (count: number): string => plural(count, "late update", "late updates"),
  nobody: "nobody",
  whoTitle: (round: number): string => `Who was in round ${groupedText(round)}`,
  whoNone: "Nobody's update was counted in this round.",
  whoLost: "These rows of the log could not be read.",
  openRound: "Show who was in it",
  workersTitle: "Devices",
  kindsTitle: "By kind of device",
  kinds: {
    "ort-cpu": "computers",
    "ort-wasm": "pages (CPU)",
    "ort-webgpu": "pages (GPU)",
    reference: "reference",
  },
  gone: "left",
  silent: "not connected",
  doing: {
    waiting: "waiting",
    fetching: "downloading",
    training: "training",
    evaluating: "measuring",
    uploading: "sending",
    leaving: "leaving",
  },
  bytesTitle: "Bytes",
  bytesWords: (ours: number, theirs: number): string =>
    `This run has moved ${bytesText(ours)}. Plain data-parallel training, which sends all ` +
    `gradients in every step, would have moved ${bytesText(theirs)}.`,
  bytesOurs: "this run",
  bytesTheirs: "data-parallel, in squares of the same size",
  bytesLess: (times: string): string => `${times} less`,
  bytesSoon: "There is nothing to compare before the first round.",
  feedTitle: "What happens",
  feedEmpty: "Nothing has happened yet.",
  waitingTitle: "Waiting for devices",
  waitingWords: "The run begins when enough devices are here. Share its link.",
  pausedTitle: "The owner has paused this run",
  pausedWords: "Devices wait. Nothing is lost.",
  finishedTitle: "This run is finished",
  troubleTitle: "The coordinator is held up",
  finishReasons: {
    tokens: "All tokens of its budget are used.",
    minutes: "The time of its budget is over.",
    stopped: "Its owner stopped it.",
  },
  wishes: {
    pause: "It pauses when this round is over.",
    stop: "It stops when this round is over.",
  },
};

const feed = {
  created: "The run was created.",
  joined: (name: string): string => `${name} joined.`,
  left: (name: string): string => `${name} left.`,
  expired: (name: string): string => `${name} was not heard of any more.`,
  evicted: (name: string): string => `${name} was sent away.`,
  opened: (round: number): string => `Round ${groupedText(round)} began.`,
  update: (name: string, tokens: number, loss: number): string =>
    `${name} gave ${countText(tokens)} tokens at loss ${lossText(loss)}.`,
  gathered: "The updates are in; they are put together.",
  closed: (round: number, who: string): string => `Round ${groupedText(round)} closed with ${who}.`,
  paused: "The owner paused the run.",
  resumed: "The run goes on.",
  finished: "The run is finished.",
};

const ledger = {
  title: "The ledger",
  lead:
    "Everything that counts is a row of this log. The page can check all of it itself: each " +
    "row's signature, its place in the hash chain, every device's own signature, and that the " +
    "rules of the protocol lead from each state to the next.",
  check: "Check the whole log",
  checkAgain: "Check again",
  stop: "Stop",
  checking: (rows: number, total: number): string =>
    `${groupedText(rows)} of ${groupedText(total)} rows checked`,
  sound: "The log is sound",
  soundWords: (rows: number, rounds: number, signatures: number): string =>
    `${plural(rows, "row", "rows")} and ${plural(rounds, "round", "rounds")} followed, ` +
    `${plural(signatures, "signature", "signatures")} verified.`,
  seconds: (ms: number): string => `It took this device ${durationText(ms)}.`,
  stateRoot: "State after the last row",
  creditRoot: "Credit after the last round",
  head: "Head of the chain",
  copyHint: "Compare these with what somebody else sees: equal text means an equal run.",
  damaged: (row: number): string => `Row ${groupedText(row)} is damaged`,
  damagedWords: "The rows before it are sound. What comes after it cannot be trusted.",
  show: "Show that row",
  cut: "The log ended early: the coordinator had promised more rows.",
  browse: "Browse",
  rows: (rows: number): string => plural(rows, "row", "rows"),
  goTo: "Go to row",
  row: (row: number): string => `Row ${groupedText(row)}`,
  close: "Close",
  fields: {
    entry: "hash of the event",
    previousHead: "head before",
    head: "head",
    signature: "signature",
  },
  progress: "Rows checked",
  noThread: "The part of the page that checks could not be loaded. Is the coordinator there?",
  empty: "The log has no rows yet.",
  loadingRow: "…",
};

const model = {
  title: "Try the model",
  lead: "It runs here, on this device, with the newest weights of the run.",
  prompt: "How should it begin?",
  promptDefault: "ROMEO:\n",
  generate: "Write",
  stop: "Stop",
  temperature: "Temperature",
  temperatureHelp: "Low is careful, high is adventurous.",
  topP: "Top-p",
  topPHelp: "Only the likeliest ways to go on, up to this probability.",
  length: "Length",
  characters: (count: number): string => plural(count, "character", "characters"),
  tokens: (count: number): string => plural(count, "token", "tokens"),
  seed: "Seed",
  rounds: "Compare with",
  compare: "Compare two rounds",
  chat: "Speak with it",
  chatHelp: "It answers, in the form of conversation that its makers gave it.",
  after: (rounds: number): string =>
    rounds === 0 ? "Before the first round" : `After ${plural(rounds, "round", "rounds")}`,
  newest: "newest",
  fetching: (what: string): string => `Downloading ${what}`,
  fetchWeights: "what was trained",
  fetchBase: "the model that it was trained on",
  fetchWords: "its words",
  fetchRounds: "the rounds since",
  fetchRuntime: "the engine",
  following: (round: number, of: number): string => `Following round ${round} of ${of}`,
  preparing: "Preparing the model",
  perSecond: (rate: number, isBytes: boolean): string =>
    `${groupedText(rate)} ${isBytes ? "characters" : "tokens"} per second`,
  verified: "Its weights have the root that the log names.",
  failed: "It could not be loaded.",
  none: "No weights are stored yet.",
  noThread: "The part of the page that writes could not be loaded. Is the coordinator there?",
  memory: (bytes: number): string => `It needs about ${bytesText(bytes)} of memory.`,
  tooLargeTitle: "This device is too small for this model",
  tooLarge: (need: number, may: number): string =>
    `Writing with it needs about ${bytesText(need)} of memory; this page may take about ` +
    `${bytesText(may)}. Nothing was downloaded: open this page on a larger device.`,
  begin: "The model's text will appear here.",
};

const limits = {
  title: "Limits",
  lead: "When and how hard this device may work. They hold for every run that it joins.",
  power: "How hard",
  powerHelp: "Of each minute, so much is work and the rest is pause.",
  powerWords: (percent: number): string => (percent >= 100 ? "full" : `${percent} %`),
  whenTitle: "When",
  charging: "Only while charging",
  chargingHelp: "Where the browser does not tell, the device rests, and says so.",
  unmetered: "Only on unmetered networks",
  unmeteredHelp: "Not while the phone shares mobile data or saves data.",
  visible: "Only while this page is visible",
  visibleHelp: "Phones stop hidden pages anyway.",
  schedule: "Only at these hours",
  from: "From",
  to: "To",
  over: "Over midnight",
  clock: (time: string): string => `It is ${time} on this device’s clock.`,
  muchTitle: "How much",
  data: "Data per day",
  memory: "Memory",
  unlimited: "no cap",
  comfortTitle: "Comfort",
  wake: "Keep the screen on while training",
  wakeHelp: "Only while this page is in front.",
  heatTitle: "Heat",
  heat:
    "A page cannot read temperatures. It watches how long steps take: when they become much " +
    "slower than they were, the device rests until it has cooled.",
  reset: "Back to the defaults",
  saved: "Kept in this browser.",
  theme: "Colours",
  themes: { auto: "As the device", light: "Light", dark: "Dark" },
  nowTitle: "At this moment",
  nowFree: "Nothing keeps this device from working.",
};

const people = {
  title: "People",
  lead: "Credit is tokens of accepted updates. It is in the log, signed, and nobody can lose it.",
  leaderboard: "Leaderboard",
  devices: "Devices",
  teams: "Teams",
  teamOf: (name: string): string => `team ${name}`,
  noTeam: "without a team",
  you: "you",
  tokens: "tokens",
  updates: (count: number): string => plural(count, "update", "updates"),
  rank: (rank: number): string => `Rank ${rank}`,
  empty: "Nobody has given anything yet. You could be the first.",
  search: "Find a name",
  badgesTitle: "Your badges",
  badges: "Badges",
};

const profile = {
  title: "Your profile",
  lead: "It lives in this browser only. No account, no e-mail; a name only if you want one.",
  who: "Name",
  name: "Display name",
  nameHelp: "Others see it in the log of runs that you join from now on. It may stay empty.",
  team: "Team",
  teamHelp: "Devices that write the same team name count together.",
  device: "This device is called",
  save: "Keep",
  saved: "Kept.",
  totals: "What you gave",
  totalTokens: "Tokens",
  totalUpdates: "Updates",
  totalRuns: "Runs",
  keyTitle: "Your key",
  keyLead:
    "A key that this browser made is who you are in the logs. Take it along to keep your credit " +
    "on another device, or after clearing this browser's data.",
  export: "Save the key as a file",
  import: "Read a key from a file",
  exportWarn: "Whoever has this file can give updates in your name. Keep it to yourself.",
  imported: "The key was read. This device is now the one of that key.",
  importFailed: "This file holds no key of Manyhands.",
  importRunning: "Leave the run first: a key is not changed while it works.",
  noDevice: "It will be made when you join your first run.",
  workerId: "Known as",
  nothing: "Nothing yet. Open a run's join link to begin.",
};

const badges = {
  names: ["First light", "Helping hand", "Steady hand", "Strong hand", "Many hands", "Great hand"],
  at: (tokens: number): string => (tokens <= 1 ? "first tokens" : `${countText(tokens)} tokens`),
  next: (left: number): string =>
    left <= 1
      ? "The first accepted update earns the first."
      : `${countText(left)} tokens to the next`,
};

const certificate = {
  title: "Certificate",
  line: "took part in training",
  gave: (tokens: number, share: number): string =>
    `with ${groupedText(tokens)} tokens, ${shareText(share)} of the run`,
  updates: (updates: number, rounds: number): string =>
    `${plural(updates, "accepted update", "accepted updates")} in ` +
    plural(rounds, "round", "rounds"),
  together: (devices: number): string => `by ${plural(devices, "device", "devices")} together`,
  run: "Run",
  state: "State",
  worker: "Device",
  anonymous: "A helping hand",
  save: "Save as a picture",
  share: "Share",
  print: "Print",
  notYet: "The run is not finished. The certificate comes with its end.",
  none: "This device has no part in this run.",
};

const owner = {
  title: "Your coordinator",
  lead: "For the person who hosts the runs.",
  tokenTitle: "Owner's token",
  token: "Token",
  tokenHelp:
    "It is in keys.json of the run's folder, and never in a join link. It stays in this browser " +
    "until you close it.",
  enter: "Enter",
  forget: "Forget the token",
  wrong: "The coordinator does not know this token.",
  runTitle: "This run",
  pickRun: "Run",
  pause: "Pause",
  resume: "Go on",
  stop: "Stop the run",
  stopSure: "Stop for good? The model is exported; the run cannot go on afterwards.",
  stopYes: "Stop",
  stopNo: "Keep it going",
  invite: "Invite",
  inviteHelp: "Whoever has this link can take part. It does not carry your token.",
  copy: "Copy the link",
  copied: "Copied",
  exportTitle: "The model",
  exportNotYet: "It can be downloaded when the run is finished and exported.",
  exportSoon: "The model is being measured and exported. Its files will appear here by themselves.",
  exportFiles: "Files in the usual format of Hugging Face",
  createTitle: "A new run",
  createOff: "This coordinator hosts one run. Start “manyhands host” to create runs in the page.",
  hostToken: "The host's token",
  hostTokenHelp: "The terminal shows it where “manyhands host” was started. It is no run's token.",
  template: "Template",
  templates: {
    tiny: "Tiny: a minute on a laptop",
    small: "Small: an hour for some laptops",
    medium: "Medium: a night for many devices",
  },
  name: "Name",
  dataFile: "Text to learn from",
  dataHelp: "A plain text file. It is sent to this coordinator, and from there to the devices.",
  size: "Model size",
  budget: "Budget in tokens",
  budgetHelp: (passes: string): string => `About ${passes} times through the text.`,
  create: "Create the run",
  creating: "Creating",
  created: "The run is there.",
  sizeWords: (parameters: number): string => `${countText(parameters)} parameters`,
};

/** English. */
export const texts = {
  ...{ frame, home, phases, contribute, watch, feed, ledger, model, limits, people },
  ...{ profile, badges, certificate, owner },
};
