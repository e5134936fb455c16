/** What bin/coblock starts: the bundle where it is up to date, else the compiled modules. */

import { spawnSync } from "node:child_process";
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const BIN = join(import.meta.dirname, "../../packages/cli/bin");
const { optionalDependencies } = JSON.parse(readFileSync(join(BIN, "../package.json"), "utf8")) as {
  optionalDependencies: { koffi: string };
};
const KOFFI = optionalDependencies.koffi;

let home = "";

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "coblock-launcher-"));
  cpSync(BIN, join(home, "bin"), { recursive: true });
  write("package.json", `{ "type": "module" }`);
  write("dist/main.js", program(MODULE, "modules"));
});

afterEach(() => rmSync(home, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(join(home, path, ".."), { recursive: true });
  writeFileSync(join(home, path), text);
}

/** Says which form of it was started, and with which words. */
function program(exporting: (name: string) => string, form: string): string {
  const main = `async function main(argv, host) { host.stdout.write(${JSON.stringify(form)} + " " + argv.join(",")); return 7; }`;
  return `${exporting("main")} ${main}\n${exporting("processHost")} function processHost() { return process; }`;
}

const MODULE = (): string => "export";
const COMMON_JS = (name: string): string => `exports.${name} =`;

function writeBundle(): void {
  const inputs = [["../dist/main.js", statSync(join(home, "dist/main.js")).mtimeMs]];
  write("bundle/current.json", JSON.stringify({ directory: "abc", builtBy: "", koffi: KOFFI, inputs }));
  write("bundle/abc/main.cjs", inFunctions("./main.cjs", program(COMMON_JS, "bundle")));
}

function inFunctions(name: string, code: string): string {
  return `({ ${JSON.stringify(name)}: function (exports, require) { ${code} } })`;
}

function start(...args: string[]): { readonly stdout: string; readonly status: number | null } {
  const { stdout, status } = spawnSync(process.execPath, [join(home, "bin/coblock"), ...args], { encoding: "utf8" });
  return { stdout, status };
}

test("without a bundle: the compiled modules", () => {
  expect(start("info", "a b")).toEqual({ stdout: "modules info,a b", status: 7 });
});

test("with a bundle: the bundle", () => {
  writeBundle();
  expect(start("info", "a b")).toEqual({ stdout: "bundle info,a b", status: 7 });
});

test("with a bundle of older modules: the compiled modules", () => {
  writeBundle();
  utimesSync(join(home, "dist/main.js"), new Date(), new Date(0));
  expect(start()).toEqual({ stdout: "modules ", status: 7 });
});

test("with a bundle alone, as it is published: the bundle", () => {
  writeBundle();
  rmSync(join(home, "dist"), { recursive: true });
  expect(start()).toEqual({ stdout: "bundle ", status: 7 });
});

test("what is in another file of the bundle is loaded when it is asked for, once", () => {
  writeBundle();
  const asks = `exports.processHost = () => process; exports.main = async (_argv, host) => {
    host.stdout.write(require("./rest.cjs").text + require("./rest.cjs").text); return 0; };`;
  write("bundle/abc/main.cjs", inFunctions("./main.cjs", asks));
  write("bundle/abc/rest.cjs", inFunctions("./rest.cjs", `process.stdout.write("loaded "); exports.text = "rest ";`));
  expect(start()).toEqual({ stdout: "loaded rest rest ", status: 0 });
});

describe("koffi", () => {
  const places = `linux_${process.arch}/koffi.node`;
  // Not put together by `join`: koffi may be a link, and the dots stand for what is around where that leads.
  const installed = `${BIN}/../node_modules/koffi/../@koromix/koffi-linux-${process.arch}/${places}`;
  const beside = `node_modules/@koromix/koffi-linux-${process.arch}/${places}`;

  beforeEach(() => {
    writeBundle();
    const asks = `const { version, path } = require("koffi"); host.stdout.write(path ?? "native " + version); return 0;`;
    const main = `exports.processHost = () => process; exports.main = async (_argv, host) => { ${asks} };`;
    write("bundle/abc/main.cjs", inFunctions("./main.cjs", main));
    write("node_modules/koffi/index.js", `module.exports = { path: "as Node finds it" };`);
    write("node_modules/koffi/package.json", `{ "type": "commonjs" }`);
  });

  test("without a native part beside it is loaded as Node finds it", () => {
    expect(start()).toEqual({ stdout: "as Node finds it", status: 0 });
  });

  test("with a native part that does not load is loaded as Node finds it", () => {
    write(beside, "no library");
    expect(start()).toEqual({ stdout: "as Node finds it", status: 0 });
  });

  describe.runIf(process.platform === "linux" && existsSync(installed))("with a native part", () => {
    beforeEach(() => {
      mkdirSync(join(home, beside, ".."), { recursive: true });
      symlinkSync(realpathSync.native(installed), join(home, beside));
    });

    test("is that", () => {
      expect(start()).toEqual({ stdout: `native ${KOFFI}`, status: 0 });
    });

    test("of another version is loaded as Node finds it", () => {
      write("bundle/current.json", JSON.stringify({ directory: "abc", builtBy: "", koffi: "0.0.1", inputs: [] }));
      expect(start()).toEqual({ stdout: "as Node finds it", status: 0 });
    });
  });
});

describe("compiled code", () => {
  const { thisNode } = createRequire(import.meta.url)(join(BIN, "start.cjs")) as { thisNode: () => string };
  /** What V8 compiles another source of the same length to, in a process without flags; it compares no more than these. It keeps what ran. */
  const compiled = (form: string): Buffer => {
    const source = inFunctions("./main.cjs", program(COMMON_JS, form));
    const compile = `const script = new (require("node:vm").Script)(${JSON.stringify(source)}, { filename: "coblock/main.cjs" });
      const exports = {};
      script.runInThisContext()["./main.cjs"](exports);
      exports.main([], { stdout: { write: () => true } });
      process.stdout.write(script.createCachedData());`;
    return spawnSync(process.execPath, ["-e", compile]).stdout;
  };

  beforeEach(writeBundle);

  test("of this Node is used", () => {
    writeFileSync(join(home, `bundle/abc/main.cjs.${thisNode()}.v8`), compiled("cached"));
    expect(start()).toEqual({ stdout: "cached ", status: 7 });
  });

  test("of another one is passed over, though it has the same V8: what is inside may be patched", () => {
    writeFileSync(join(home, `bundle/abc/main.cjs.${thisNode()}.v8`), compiled("cached"));
    const other = join(home, "node");
    cpSync(process.execPath, other);
    utimesSync(other, new Date(), new Date(0));
    expect(spawnSync(other, [join(home, "bin/coblock")], { encoding: "utf8" }).stdout).toBe("bundle ");
  });

  /** As after `npm install`: then the source is another one of the same length. */
  const startTwice = (options: NodeJS.ProcessEnv): string => {
    const env = { ...process.env, NODE_OPTIONS: "", ...options };
    const once = (): string => spawnSync(process.execPath, [join(home, "bin/coblock")], { encoding: "utf8", env }).stdout;
    expect(once()).toBe("bundle ");
    write("bundle/abc/main.cjs", inFunctions("./main.cjs", program(COMMON_JS, "second")));
    return once();
  };

  test("is kept by the first start, whole and alone", () => {
    expect(startTwice({})).toBe("bundle ");
    expect(readdirSync(join(home, "bundle/abc"))).toEqual(["main.cjs", `main.cjs.${thisNode()}.v8`]);
  });

  test("is not kept of a Node with flags, which V8 would not take for others", () => {
    expect(startTwice({ NODE_OPTIONS: "--max-old-space-size=1000" })).toBe("second ");
  });

  test.runIf(process.geteuid?.() === 0)("is not kept in a folder of somebody else's", () => {
    chownSync(join(home, "bundle/abc"), 65_534, 65_534);
    expect(startTwice({})).toBe("second ");
    expect(readdirSync(join(home, "bundle/abc"))).toEqual(["main.cjs"]);
  });

  test("that V8 does not know is passed over", () => {
    write(`bundle/abc/main.cjs.${thisNode()}.v8`, "of another version");
    expect(start()).toEqual({ stdout: "bundle ", status: 7 });
  });
});

test("each command says which program it is, and what it was called as", () => {
  const main = "export async function main(argv, host, program) { host.stdout.write(JSON.stringify(program)); return 0; }";
  write("dist/main.js", `${main}\nexport const processHost = () => process;`);
  const link = join(home, "my-io");
  symlinkSync(join(home, "bin/qemu-io"), link);
  const called = (path: string): unknown => JSON.parse(spawnSync(process.execPath, [path], { encoding: "utf8" }).stdout);
  expect(called(link)).toEqual({ kind: "qemu-io", name: "my-io" });
  for (const kind of ["coblock", "qemu-img", "qemu-io"]) expect(called(join(home, "bin", kind))).toEqual({ kind, name: kind });
});

test("modules behind links are what they are, also when the output is a pipe", () => {
  write("real/package.json", `{ "type": "module", "exports": "./index.js" }`);
  write("real/index.js", "export const { url } = import.meta;");
  mkdirSync(join(home, "node_modules"), { recursive: true });
  symlinkSync("../real", join(home, "node_modules/linked"));
  const cli = pathToFileURL(join(BIN, "../dist/index.js")).href;
  write("main.js", `const { stdout } = (await import("${cli}")).processHost(); stdout.write((await import("linked")).url);`);
  const { stdout } = spawnSync(process.execPath, [join(home, "main.js")], { encoding: "utf8" });
  expect(stdout).toBe(pathToFileURL(join(realpathSync(home), "real/index.js")).href);
});
