// Who imports whom: the table of the design, the manifests, and circles between files.
import type { Import, Module } from "./modules.ts";
import { joinPath, workspacePackages } from "./modules.ts";
import { type Area, IMPORT_TABLE, PURE, type Rule } from "./policy.ts";
import { areaOf, type Finding, isPackageSource, isTest, type Tree } from "./tree.ts";

export function checkImports(modules: readonly Module[], tree: Tree): Finding[] {
  const packages = workspacePackages(tree);
  const findings: Finding[] = [];
  for (const module of modules) {
    for (const used of module.imports) {
      const problem =
        tableProblem(module, used, packages) ??
        manifestProblem(module, used, tree) ??
        missingProblem(module, used, tree);
      if (problem) findings.push({ ...problem, path: module.source.path, line: used.line });
    }
  }
  return [...findings, ...cycles(modules)];
}

type Problem = { readonly rule: Rule; readonly message: string; readonly severity: "error" };

function problem(rule: Rule, message: string): Problem {
  return { rule, message, severity: "error" };
}

/** `@scope/name/sub/path` → `@scope/name`; `name/sub` → `name`. */
function packageName(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function tableProblem(
  module: Module,
  used: Import,
  packages: ReadonlyMap<string, string>,
): Problem | undefined {
  const from = areaOf(module.source.path);
  const inPackage = /^packages\//.test(module.source.path);
  const folder = packages.get(packageName(used.specifier)) ?? packageFolder(used.target);
  if (!inPackage || folder === undefined) return undefined;
  const to = areaOf(`${folder}/`);
  if (from === to) {
    if (used.specifier.startsWith(".") || used.isMention) return undefined;
    return problem("self-import", `import "${used.specifier}" by its relative path`);
  }
  if (isAllowed(from, to, used)) return undefined;
  const allowed = IMPORT_TABLE[from]?.join(", ") || "nothing of ours";
  const what = `${from} may not import ${to} (it may: ${allowed})`;
  return problem("import-table", `${what}; move the code, or take it as an argument`);
}

function packageFolder(target: string | undefined): string | undefined {
  return /^packages\/[^/]+/.exec(target ?? "")?.[0];
}

function isAllowed(from: Area, to: Area, used: Import): boolean {
  const subpath = used.target?.replace(/^packages\/[^/]+\/src\//, "").replace(/\.ts$/, "") ?? "";
  const path = `${to}/${subpath}`;
  return (IMPORT_TABLE[from] ?? []).some((allowed) =>
    allowed.endsWith("/") ? path.startsWith(allowed) : allowed === to || allowed === path,
  );
}

function manifestProblem(module: Module, used: Import, tree: Tree): Problem | undefined {
  const { path } = module.source;
  if (used.isMention || /^[.#]/.test(used.specifier)) return undefined;
  if (used.specifier.startsWith("node:")) {
    if (!PURE.includes(areaOf(path)) || isTest(path) || !isPackageSource(path)) return undefined;
    return problem("platform-import", `${areaOf(path)} runs everywhere: take it as an argument`);
  }
  const name = packageName(used.specifier);
  if (declaredFor(path, tree).has(name)) return undefined;
  return problem("undeclared-import", `list "${name}" in the dependencies of ${manifestOf(path)}`);
}

function manifestOf(path: string): string {
  const folder = /^(?:packages|apps)\/[^/]+\//.exec(path)?.[0] ?? "";
  return `${folder}package.json`;
}

type Manifest = {
  readonly dependencies?: { readonly [name: string]: string };
  readonly devDependencies?: { readonly [name: string]: string };
  readonly optionalDependencies?: { readonly [name: string]: string };
};

/** Packages declare what they use; tests also use the root's; what crosses packages uses any. */
function declaredFor(path: string, tree: Tree): Set<string> {
  const own = manifestOf(path);
  const crossing = own === "package.json";
  const manifests = [...tree.keys()].filter((file) => {
    if (file === own) return true;
    if (file === "package.json") return crossing || isTest(path);
    return crossing && /^(?:packages|apps)\/[^/]+\/package\.json$/.test(file);
  });
  const names = crossing ? [...workspacePackages(tree).keys()] : [];
  for (const file of manifests) {
    const manifest = JSON.parse(tree.get(file) ?? "{}") as Manifest;
    const { dependencies, devDependencies, optionalDependencies } = manifest;
    names.push(...Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }));
  }
  return new Set(names);
}

function missingProblem(module: Module, used: Import, tree: Tree): Problem | undefined {
  if (used.target !== undefined || !used.specifier.startsWith(".")) return undefined;
  const path = joinPath(module.source.path, used.specifier);
  if (tree.has(path) || path.endsWith(".json") || path.endsWith(".css")) return undefined;
  return problem("missing-import", `there is no ${path}`);
}

/** Every circle of files once, at its first import. */
function cycles(modules: readonly Module[]): Finding[] {
  const byPath = new Map(modules.map((module) => [module.source.path, module]));
  const state = new Map<string, "open" | "done">();
  const findings: Finding[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    state.set(path, "open");
    for (const used of byPath.get(path)?.imports ?? []) {
      if (used.target === undefined || used.isMention || !byPath.has(used.target)) continue;
      const seen = state.get(used.target);
      if (seen === undefined) visit(used.target, [...trail, path]);
      if (seen !== "open") continue;
      const circle = [...trail, path];
      const names = [...circle.slice(circle.indexOf(used.target)), used.target];
      const message = `circle ${names.join(" → ")}; move what both need into a third file`;
      findings.push({ path, line: used.line, rule: "cycle", message, severity: "error" });
    }
    state.set(path, "done");
  };
  for (const path of byPath.keys()) if (!state.has(path)) visit(path, []);
  return findings;
}
