// Compiles the contracts with the npm compiler and writes what the product ships: ABI and bytecode.
// `--check` compares instead, and fails if what is committed is not what the sources give.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const solc = require("solc");
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, "../packages/chain/artefacts");

/** As in foundry.toml, which the tests use. */
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 10_000 },
  viaIR: true,
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

/** The test dollar is for local chains and demos. */
const SHIPPED = [
  "RunRegistry",
  "Settlement",
  "Rewards",
  "Provenance",
  "ModelShares",
  "RevenueVault",
];
const FOR_TESTS = { file: "test/Tokens.sol", contract: "TestDollar" };

function sourceOf(path) {
  const folder = path.startsWith("@openzeppelin/") ? join(root, "node_modules") : root;
  return readFileSync(join(folder, path), "utf8");
}

function compile() {
  const files = [...readdirSync(join(root, "src")).map((name) => `src/${name}`), FOR_TESTS.file];
  const sources = Object.fromEntries(files.map((path) => [path, { content: sourceOf(path) }]));
  const input = JSON.stringify({ language: "Solidity", sources, settings });
  const output = JSON.parse(
    solc.compile(input, {
      import: (path) => {
        try {
          return { contents: sourceOf(path) };
        } catch (error) {
          return { error: String(error) };
        }
      },
    }),
  );
  const errors = (output.errors ?? []).filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(errors.map((one) => one.formattedMessage).join("\n"));
  return output.contracts;
}

function artefacts() {
  const contracts = compile();
  const shipped = SHIPPED.map((contract) => ({ file: `src/${contract}.sol`, contract }));
  return [...shipped, FOR_TESTS].map(({ file, contract }) => {
    const { abi, evm } = contracts[file][contract];
    const bytecode = `0x${evm.bytecode.object}`;
    const sha256 = createHash("sha256").update(bytecode).digest("hex");
    const content = { contract, compiler: solc.version(), settings, sha256, abi, bytecode };
    const text = `${JSON.stringify(content, null, 1)}\n`;
    return { path: join(target, `${contract}.json`), text };
  });
}

const isCheck = process.argv.includes("--check");
const stale = [];
mkdirSync(target, { recursive: true });
for (const { path, text } of artefacts()) {
  if (!isCheck) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) stale.push(path);
}
if (stale.length > 0) {
  console.error(`Not what the sources give: ${stale.join(", ")}.`);
  console.error("npm run artefacts --prefix contracts");
  process.exitCode = 1;
} else console.log(isCheck ? "artefacts: as compiled" : `artefacts: written to ${target}`);
