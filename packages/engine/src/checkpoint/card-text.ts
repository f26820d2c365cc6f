// Markdown for model cards: tables, and other people's words as plain text. No sentences here.

export type Cell = string | number;

/** Two columns without a head. */
export function table(rows: readonly (readonly [Cell, Cell])[]): string {
  return rowsTable(["", ""], rows);
}

export function rowsTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const line = (cells: readonly Cell[]): string => `| ${cells.map(cellText).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Whole numbers in groups of three, so that a person can read them. */
function cellText(cell: Cell): string {
  if (typeof cell === "string") return plain(cell);
  return Number.isInteger(cell) ? grouped(cell) : String(cell);
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** Somebody else's words as plain text: one line, nothing that Markdown or HTML acts on. */
export function plain(words: string): string {
  return words.replace(/[\s\p{C}]+/gu, " ").replace(/[\\`*_[\]<>|#&!]/g, (char) => `\\${char}`);
}
