import { SimulatedClock } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { Output } from "./output.ts";
import { Progress } from "./progress.ts";
import { Screen } from "./terminal/screen.ts";

function rig(shown: { readonly printed: boolean; readonly quiet?: boolean; readonly isTTY?: boolean; readonly columns?: number }) {
  const written = { stdout: "", stderr: "" };
  const clock = new SimulatedClock();
  const output = new Output({ write: (text) => (written.stdout += text) }, () => {});
  const { isTTY = false, columns = 80, printed, quiet = false } = shown;
  const stderr = { isTTY, columns, write: (text: string) => (written.stderr += text) };
  const screen = new Screen(stderr, { NO_COLOR: "1" }, true);
  const progress = new Progress({ clock, output, stderr, screen, printed, quiet, stepPercent: 2 });
  return { progress, clock, output, written };
}

describe("-p", () => {
  it("prints qemu-img's form, in steps, and all of it at the end", () => {
    const { progress, output, written } = rig({ printed: true });
    for (const done of [0, 1, 3, 4, 50, 51, 98]) progress.update(done, 100);
    progress.finish();
    progress.end(() => output.line("Done."));
    output.flush();
    expect(written.stdout).toBe("    (0.00/100%)\r    (3.00/100%)\r    (50.00/100%)\r    (98.00/100%)\r    (100.00/100%)\rDone.\n\n");
    expect(written.stderr).toBe("");
  });

  it("leaves a failure at the percentage that it came to", () => {
    const { progress, output, written } = rig({ printed: true });
    progress.update(30, 100);
    progress.end();
    output.flush();
    expect(written.stdout).toBe("    (0.00/100%)\r    (30.00/100%)\r\n");
  });
});

describe("the bar", () => {
  it("is there on a terminal, and is wiped off", async () => {
    const { progress, clock, written } = rig({ printed: false, isTTY: true });
    await clock.advance(1000);
    progress.update(1, 2);
    expect(written.stderr).toMatch(/^\r 50\.0 % \[/);
    progress.end();
    expect(written.stderr.endsWith("\r\u001b[K")).toBe(true);
    expect(written.stdout).toBe("");
  });

  it.each([{ isTTY: false }, { isTTY: true, quiet: true }])("is not there with %o", async (shown) => {
    const { progress, clock, written } = rig({ printed: false, ...shown });
    await clock.advance(1000);
    progress.update(1, 2);
    progress.end();
    expect(written).toEqual({ stdout: "", stderr: "" });
  });
});

it("answers SIGUSR1", () => {
  const { progress } = rig({ printed: false });
  expect(progress.report()).toBe("    (0.00/100%)\n");
  progress.update(1, 8);
  expect(progress.report()).toBe("    (12.50/100%)\n");
});
