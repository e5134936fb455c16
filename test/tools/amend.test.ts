/** `amend` beside the real tool: the same words on copies of the same image, for what it does and for what it refuses. */

import { copyFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();

beforeAll(() => {
  bench.qemuImg("create", "-q", "-f", "qcow2", "@new.qcow2", "4M");
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "compat=0.10", "@old.qcow2", "4M");
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "@extended.qcow2", "4M");
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "refcount_bits=64", "@wide.qcow2", "4M");
  for (const name of ["new", "old", "extended", "wide"]) {
    bench.qemuIo(`${name}.qcow2`, "qcow2", "write -P 1 0 200k", "write -P 2 1M 100k");
    bench.qemuImg("snapshot", "-c", "one", `@${name}.qcow2`);
    bench.qemuIo(`${name}.qcow2`, "qcow2", "write -z 64k 100k");
  }
  bench.qemuImg("create", "-q", "-f", "raw", "@disk.raw", "1M");
  bench.qemuImg("create", "-q", "-f", "qed", "@disk.qed", "1M");
});
afterAll(() => bench[Symbol.dispose]());

const CHANGES = [
  "new -o compat=0.10",
  "new -o compat=v2 -p -q",
  "new -o lazy_refcounts=on",
  "new -o refcount_bits=2",
  "new -q -o refcount_bits=64,lazy_refcounts=on",
  "new -o refcount_bits=1",
  "new -o size=8M",
  "new -o compat=0.10,lazy_refcounts=on",
  "new -o compat=0.10,refcount_bits=8",
  "new -o compat=0.9",
  "new -o refcount_bits=7",
  "new -o refcount_bits=128",
  "new -o data_file=x",
  "new -o data_file_raw=on",
  "new -o data_file_raw=off",
  "new -o backing_file=x",
  "new -o backing_fmt=raw",
  "new -o cluster_size=4096",
  "new -o preallocation=full",
  "new -o extended_l2=off",
  "new -o compression_type=zlib",
  "new -o nonsense=1",
  "new -o lazy_refcounts=maybe",
  "new -t nonsense -o size=8M",
  "new -f qcow2 -o help",
  "new -o help",
  "new",
  "new -o compat=1.1 @old.qcow2",
  "old -o lazy_refcounts=on",
  "old -o refcount_bits=8",
  "old -o compat=1.1",
  "old -o compat=1.1,refcount_bits=8,lazy_refcounts=on",
  "extended -o compat=0.10",
  "extended -o refcount_bits=32",
  "wide -o compat=0.10",
  "wide -o compat=0.10,refcount_bits=16",
];

/** Where the wording or the outcome is another one, and why. */
const OTHER_WORDS: readonly string[] = [
  // The value is quoted.
  "new -o compat=0.9",
  // It says which value it was.
  "new -o lazy_refcounts=maybe",
];

describe("the same words", () => {
  it.each(CHANGES)("%s", async (line) => {
    const [name = "", ...words] = wordsOf(line);
    for (const copy of ["theirs", "ours"]) copyFileSync(bench.path(`${name}.qcow2`), bench.path(`${copy}.qcow2`));
    const theirs = bench.theirs(["amend", ...words, "@theirs.qcow2"]);
    const ours = await bench.ours(["amend", ...words, "@ours.qcow2"]);
    expect(ours.exitCode).toBe(theirs.exitCode);
    if (!OTHER_WORDS.includes(line)) {
      expect(ours.stdout).toBe(theirs.stdout);
      const said = theirs.stderr.replace(/^qemu-img: /, "coblock: ").replace(/\nTry 'qemu-img --help' for more information/, "");
      expect(ours.stderr.replace(/^(coblock: )[^ ]*ours\.qcow2: /, "$1")).toBe(
        said === "" ? "" : `${said.trim().replaceAll("\n", "; ")}\n`,
      );
    }
    const infos = ["theirs", "ours"].map((copy) => {
      const { stdout } = bench.theirs(["info", "--output=json", `@${copy}.qcow2`]);
      const { filename: _name, "actual-size": _size, ...told } = JSON.parse(stdout) as Record<string, unknown>;
      return told;
    });
    expect(infos[1]).toEqual(infos[0]);
    expect(bench.theirs(["check", "@ours.qcow2"])).toMatchObject({ exitCode: 0 });
    expect(bench.theirs(["compare", "@theirs.qcow2", "@ours.qcow2"]).stdout).toBe("Images are identical.\n");
  });

  it("what cannot be done is refused before anything is changed, and qemu-img grows the disk first", async () => {
    copyFileSync(bench.path("new.qcow2"), bench.path("ours.qcow2"));
    const ours = await bench.ours(["amend", "-o", "size=8M,compat=0.10", "@ours.qcow2"]);
    expect(ours).toEqual({ exitCode: 1, stdout: "", stderr: "coblock: Internal snapshots prevent downgrade of image\n" });
    expect(bench.theirs(["info", "@ours.qcow2"]).stdout).toContain("virtual size: 4 MiB");
  });

  it.each(["amend -o size=2M @disk.raw -f raw", "amend -o size=2M -f qed @disk.qed", "amend -f raw -o help", "amend -f nonsense -o help"])(
    "%s",
    async (line) => {
      const [theirs, ours] = [bench.theirs(wordsOf(line)), await bench.ours(wordsOf(line))];
      expect(ours).toEqual({ ...theirs, stderr: theirs.stderr.replace("qemu-img: ", "coblock: ") });
    },
  );
});
