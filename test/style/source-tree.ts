/** The committed files, and the syntax of those that are code, as the style tests look at them. */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type ExportNamedDeclaration, type Program, parseSync, Visitor } from "oxc-parser";

export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** One import or re-export. `isType`: it leaves no trace in what runs. */
export interface Import {
  readonly specifier: string;
  readonly isType: boolean;
}

export interface FunctionSpan {
  readonly name: string;
  readonly lines: number;
}

/** A code file; `path` counts from the top of the checkout, as in all messages. */
export class SourceFile {
  readonly path: string;
  readonly text: string;
  readonly program: Program;
  readonly #comments: readonly { readonly type: string; readonly value: string; readonly start: number; readonly end: number }[];

  constructor(path: string) {
    this.path = path;
    this.text = readFileSync(join(ROOT, path), "utf8");
    const { program, comments, errors } = parseSync(path, this.text);
    const [error] = errors;
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    this.program = program;
    this.#comments = comments;
  }

  get lineCount(): number {
    return this.text.trimEnd().split("\n").length;
  }

  /** The code with every comment blanked out; offsets stay. */
  get code(): string {
    return this.#comments.reduce((text, { start, end }) => text.slice(0, start) + " ".repeat(end - start) + text.slice(end), this.text);
  }

  imports(): Import[] {
    const found: Import[] = [];
    const add = (specifier: string, isType: boolean): number => found.push({ specifier, isType });
    const allTypes = (specifiers: readonly { readonly type: string }[], kindOf: "importKind" | "exportKind"): boolean =>
      specifiers.length > 0 && specifiers.every((one) => (one as { importKind?: string; exportKind?: string })[kindOf] === "type");
    new Visitor({
      ImportDeclaration: (node) => add(node.source.value, node.importKind === "type" || allTypes(node.specifiers, "importKind")),
      ExportNamedDeclaration: (node) => {
        if (node.source !== null) add(node.source.value, node.exportKind === "type" || allTypes(node.specifiers, "exportKind"));
      },
      ExportAllDeclaration: (node) => add(node.source.value, node.exportKind === "type"),
      ImportExpression: (node) => {
        if (node.source.type === "Literal") add(String(node.source.value), false);
      },
    }).visit(this.program);
    return found;
  }

  /** Where a relative import leads, from the top; undefined for packages. */
  resolve(specifier: string): string | undefined {
    return specifier.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(this.path), specifier)) : undefined;
  }

  /** Every function that has a body, with the name that it is known by. */
  functions(): FunctionSpan[] {
    const found: FunctionSpan[] = [];
    let name = "(anonymous)";
    const add = (node: { readonly start: number; readonly end: number; readonly body: unknown }): void => {
      if (node.body !== null) found.push({ name, lines: this.text.slice(node.start, node.end).split("\n").length });
      name = "(anonymous)";
    };
    const keyName = (key: { readonly start: number; readonly end: number }): string => this.text.slice(key.start, key.end);
    new Visitor({
      MethodDefinition: (node) => void (name = keyName(node.key)),
      PropertyDefinition: (node) => void (name = keyName(node.key)),
      Property: (node) => void (name = keyName(node.key)),
      VariableDeclarator: (node) => void (name = keyName(node.id)),
      FunctionDeclaration: (node) => {
        name = node.id?.name ?? "(default)";
        add(node);
      },
      FunctionExpression: add,
      ArrowFunctionExpression: add,
    }).visit(this.program);
    return found;
  }

  /**
   * Exported functions and classes that no TSDoc comment tells of. Overloads share their first one's; where a file exports one of them,
   * its opening sentence is enough.
   */
  undocumentedExports(): string[] {
    const documented = new Map<string, boolean>();
    for (const statement of this.program.body) {
      const name = statement.type === "ExportNamedDeclaration" ? nameOfCallable(statement) : undefined;
      if (name !== undefined) documented.set(name, documented.get(name) === true || this.#hasDoc(statement.start));
    }
    if (documented.size === 1) return [];
    return [...documented].filter(([, isDocumented]) => !isDocumented).map(([name]) => name);
  }

  /** Whether a TSDoc comment stands right before `offset`. */
  #hasDoc(offset: number): boolean {
    const comment = this.#comments.findLast(({ end }) => end <= offset);
    return comment?.type === "Block" && comment.value.startsWith("*") && this.text.slice(comment.end, offset).trim() === "";
  }
}

function nameOfCallable({ declaration }: ExportNamedDeclaration): string | undefined {
  const isCallable =
    declaration?.type === "FunctionDeclaration" || declaration?.type === "TSDeclareFunction" || declaration?.type === "ClassDeclaration";
  return isCallable ? declaration.id?.name : undefined;
}

const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
  maxBuffer: 2 ** 26,
});

/** Everything that is committed or about to be. */
export const FILES: readonly string[] = listed.split("\n").filter((path) => path !== "" && existsSync(join(ROOT, path)));

export const isTest = (path: string): boolean => /\.test\.[a-z]+$|(?:^|\/)(?:test|fixture)\//.test(path);

/** Code that somebody wrote. */
export const CODE: readonly SourceFile[] = FILES.filter((path) => /(?<!\.d)\.ts$|\.[mc]js$/.test(path)).map((path) => new SourceFile(path));

/** What is published: the sources of the packages, without tests and what only tests use. */
export const PRODUCT: readonly SourceFile[] = CODE.filter(({ path }) => /^packages\/[^/]+\/src\//.test(path) && !isTest(path));
