/** Shell scripts for the tools of QEMU, run with the real ones in their path and with ours: the same output, and images that are worth the same. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compareFiles } from "./differential/image-files.ts";

const SCRIPTS = join(import.meta.dirname, "scripts");
/** Ours are links of the same names. */
const BIN = join(import.meta.dirname, "../../packages/cli/bin");
/** What scripts call besides. */
const SYSTEM = [dirname(process.execPath), ...(process.env["PATH"] ?? "").split(delimiter)];

/** Every third; `COBLOCK_DIFFERENTIAL=all` runs all. */
const STEP = process.env["COBLOCK_DIFFERENTIAL"] === "all" ? 1 : 3;

const home = mkdtempSync(join(tmpdir(), "coblock-scripts-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** In a folder of always the same name, since names are printed; it is kept as `kept`. */
function run(script: string, kept: string, path: readonly string[]): Ended {
  const place = join(home, "place");
  mkdirSync(place);
  const { status, stdout, stderr } = spawnSync("sh", [join(SCRIPTS, script)], {
    cwd: place,
    env: { ...process.env, PATH: path.join(delimiter) },
    encoding: "latin1",
  });
  renameSync(place, kept);
  return { status, stdout, stderr };
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Where clusters lie in the file is each program's own choice. */
function withoutPlaces(ended: Ended): Ended {
  const stdout = ended.stdout.replace(/[\d.]+% fragmented/g, "N% fragmented").replace(/^Image end offset: \d+$/gm, "Image end offset: N");
  return { ...ended, stdout };
}

describe.each(readdirSync(SCRIPTS).filter((_, index) => index % STEP === 0))("%s", (script) => {
  it("does the same with both", async () => {
    const [theirs, ours] = [join(home, `${script}-theirs`), join(home, `${script}-ours`)];
    const expected = run(script, theirs, SYSTEM);
    const got = run(script, ours, [BIN, ...SYSTEM]);
    expect(withoutPlaces(got)).toEqual(withoutPlaces(expected));
    expect(filesIn(ours)).toEqual(filesIn(theirs));
    const found = await compareFiles({ theirs, ours, place: join(home, "place") }, filesIn(theirs));
    expect(found.ours).toEqual(found.theirs);
  });
});
