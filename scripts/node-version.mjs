// Refuses an old Node with a sentence.
// Plain JavaScript, because an old Node cannot read TypeScript.
const MAJOR_MIN = 24;

if (Number(process.versions.node.split(".")[0]) < MAJOR_MIN) {
  console.error(
    `This needs Node ${MAJOR_MIN}, and this is Node ${process.versions.node}.\n` +
      "Run `npm install` in the project's folder: it brings the Node that npm scripts use.",
  );
  process.exitCode = 1;
}
