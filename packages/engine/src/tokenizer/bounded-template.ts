// Jinja as chat templates need it, by Hugging Face's interpreter, within a budget: a template is a
// stranger's program, and one that never ends must not take the process along.
// It deliberately measures no time: a budget of work refuses the same template everywhere.

import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { InputError } from "@manyhands/base/errors";

/** Evaluated nodes, a quarter of an item that is looped over, 64 characters or items: a second. */
const WORK_MAX = 4_000_000;
/** Published templates loop over messages, and a range is over their count. */
const RANGE_MAX = 100_000;
const CHARS_MAX = 4_000_000;
const ITEMS_MAX = 1_000_000;
const SIZE_PER_WORK = 64;
const WORK_PER_LOOP = 4;

/** The template does more than any that writes a conversation. */
export class TemplateBudgetError extends InputError {}

function overBudget(what: string): TemplateBudgetError {
  return new TemplateBudgetError(`the model's chat template does not end in time: ${what}`, {
    hint: "it is damaged or hostile: give another one with --chat-template",
  });
}

type Program = ReturnType<typeof parse>;
type Node = { readonly type: string } | undefined;
type Value = { readonly value: unknown };
type Scope = { set(name: string, value: unknown): void };
type Evaluator = {
  run(program: Program): Value;
  evaluate(node: Node, scope: Scope): Value;
};
/** The library's types name files that this module system does not find. */
const LibraryInterpreter = Interpreter as unknown as new (scope: Scope) => Evaluator;

export class BoundedTemplate {
  readonly #program: Program;

  /** @throws what the library throws if it is no template */
  constructor(source: string) {
    this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  }

  /**
   * @param variables of the template
   * @throws TemplateBudgetError, and what the template or the library throws
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    const scope: Scope = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables }))
      scope.set(name, value);
    return String(new BoundedInterpreter(scope).run(this.#program).value);
  }
}

/** Those that the library's own renderer sets. */
const GLOBALS = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  range: boundedRange,
  raise_exception: (message: string): never => {
    throw new InputError(message);
  },
};

/** Python's range. */
function boundedRange(first: number, last?: number, step = 1): readonly number[] {
  const [start, stop] = last === undefined ? [0, first] : [first, last];
  if (step === 0) throw new InputError("range() step must not be zero");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= RANGE_MAX)) throw overBudget(`a range of ${count} numbers`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

class BoundedInterpreter extends LibraryInterpreter {
  #work = 0;
  /** What a loop runs over: each item of it is work, even if nothing is done with it. */
  #looped: Node;

  override evaluate(node: Node, scope: Scope): Value {
    const isLooped = node !== undefined && node === this.#looped;
    this.#looped = loopedIn(node);
    this.#spend(1);
    const value = super.evaluate(node, scope);
    const size = sizeOf(value);
    this.#spend(isLooped ? size * WORK_PER_LOOP : Math.floor(size / SIZE_PER_WORK));
    return value;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > WORK_MAX) throw overBudget(`more than ${WORK_MAX} steps`);
  }
}

/** A loop evaluates what it runs over first. */
function loopedIn(node: Node): Node {
  if (node?.type !== "For") return undefined;
  const iterable: unknown = Reflect.get(node, "iterable");
  if (typeof iterable !== "object" || iterable === null) return undefined;
  const isSelect = Reflect.get(iterable, "type") === "SelectExpression";
  return isSelect ? Reflect.get(iterable, "lhs") : (iterable as Node);
}

/** Characters of a text, items of a list or an object. */
function sizeOf({ value }: Value): number {
  if (typeof value === "string") {
    if (value.length > CHARS_MAX) throw overBudget(`a text of ${value.length} characters`);
    return value.length;
  }
  const size = Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;
  if (size > ITEMS_MAX) throw overBudget(`a list of ${size} items`);
  return size;
}
