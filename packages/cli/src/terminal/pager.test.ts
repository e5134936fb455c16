import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { showInPager } from "./pager.ts";

const { env } = process;

it("hands the text, and options for less, to the program that PAGER names", () => {
  const folder = mkdtempSync(join(tmpdir(), "pager-"));
  try {
    const shown = join(folder, "shown");
    expect(showInPager("a page\n", { ...env, LESS: undefined, PAGER: `cat > ${shown}; echo $LESS >> ${shown}` })).toBe(true);
    expect(readFileSync(shown, "utf8")).toBe("a page\nFRX\n");
    expect(showInPager("a page\n".repeat(100_000), { ...env, PAGER: "true" })).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("leaves it to the caller where there is no such program, and where none is wanted", () => {
  for (const other of [{ PAGER: "exit 127" }, { PAGER: "" }, { PAGER: "true", TERM: "dumb" }, { PATH: "/none", PAGER: undefined }])
    expect(showInPager("a page\n", { ...env, TERM: "xterm", ...other })).toBe(false);
});
