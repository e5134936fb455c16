import type { Clock } from "@coblock/core";
import { expect, test } from "vitest";
import { LiveTraffic } from "./live-traffic.ts";

const MIB = 1024 * 1024;

/** A terminal of 71 columns, whose lines are what a reader sees. */
class Terminal {
  readonly columns = 71;
  lines: string[] = [""];

  write(text: string): void {
    for (const [part] of text.matchAll(/\u001b\[A|\r\u001b\[J|\n|[^\u001b\r\n]+/g)) {
      if (part === "\n") this.lines.push("");
      else if (part === "\u001b[A") this.lines.splice(-2, 2, this.lines.at(-2) ?? "");
      else if (part.startsWith("\r")) this.lines.splice(-1, 1, "");
      else this.lines.push((this.lines.pop() ?? "") + part);
    }
  }
}

test("a line for each connection, with what it moved in the last second; events stay above, and nothing is left at the end", () => {
  const screen = new Terminal();
  let nowMs = 0;
  let tick = (): void => {};
  const schedule: Clock["schedule"] = (durationMs, run) => {
    tick = () => {
      nowMs += durationMs;
      run();
    };
    return { [Symbol.dispose]: () => (tick = () => expect.unreachable("the timer was cancelled")) };
  };
  const clock = { now: () => nowMs, schedule } as unknown as Clock;
  const traffic = { requests: 10, readBytes: 3 * MIB, writtenBytes: 0 };
  const connections: { client: string; traffic: typeof traffic }[] = [];
  const live = new LiveTraffic({ screen, print: (text) => screen.write(text), clock, server: { connections } });
  tick();
  expect(screen.lines).toEqual([""]);
  connections.push({ client: "client 1", traffic });
  tick();
  expect(screen.lines).toEqual(["  client 1: 3 MiB/s read (3 MiB), 10 requests/s", ""]);
  traffic.readBytes += MIB;
  traffic.writtenBytes = 512;
  traffic.requests += 4;
  live.above(() => screen.write("client 2 is here\n"));
  tick();
  expect(screen.lines).toEqual(["client 2 is here", "  client 1: 1 MiB/s read (4 MiB), 512 B/s written (512 B), 4 requests/", ""]);
  for (let index = 2; index < 12; index++) connections.push({ client: `client ${index}`, traffic });
  tick();
  expect(screen.lines).toHaveLength(1 + 8 + 2);
  expect(screen.lines.at(-2)).toBe("  and 3 more");
  live[Symbol.dispose]();
  expect(screen.lines).toEqual(["client 2 is here", ""]);
});
