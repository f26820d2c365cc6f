// What writes on pictures and in tests of the screens: a thread with a known text, or one that
// fails. Not the model: apps/web/src/model.

const NEWEST = [
  "What light is this that breaks upon my hand?",
  "I had not thought the night so full of ears.",
  "",
  "JULIET:",
  "Then speak the softer, and the less of it;",
  "The nurse is old, but doors are older still.",
  "",
  "ROMEO:",
  "I will speak once, and let the morning answer.",
] as const;
const EARLY = [
  "The the sore wath and of ther, me hat",
  "And thes in the seald thou ber the my,",
  "",
  "KING Ror:",
  "Wherd thou the, and hat but the mone.",
] as const;

/** The script of a thread that answers as the model's thread does. */
export function pretendWriter(kind: "writes" | "fails"): string {
  const texts = [NEWEST.join("\n"), EARLY.join("\n")];
  const trouble = { kind: "trouble", message: "the coordinator did not answer" };
  return `
    const texts = ${JSON.stringify(texts)};
    self.onmessage = ({ data: { kind, place } }) => {
      if (kind !== "write") return;
      if (${kind === "fails"}) self.postMessage({ ...${JSON.stringify(trouble)}, place });
      else {
        self.postMessage({ kind: "began", place, rounds: place === 0 ? 60 : 0 });
        self.postMessage({ kind: "text", place, text: texts[place], perSecond: 184 });
        if (place > 0) self.postMessage({ kind: "done", place });
      }
    };
  `;
}
