import { CoMutex, type BlockGraph } from "@coblock/core";
import { expect, test } from "vitest";
import { testFormatDriver } from "../format/test-format-driver.ts";
import { replay } from "./explore.ts";
import type { Lab } from "./lab.ts";
import { held, requests, waiting } from "./leftovers.ts";
import type { Scenario } from "./scenario.ts";

test("lines name who holds, who waits and what is in flight", () => {
  const nodes = [
    {
      name: "node",
      requests: [{ kind: "write", offset: 0x1200, length: 512 }],
      locks: [{ name: "driver", holders: [{ who: "A" }], waiters: [{ who: "B" }, { who: "C" }] }],
      image: { claims: { held: ["[0, 4096)"], waiting: ["write of B"] }, allocations: { taken: 2, waiting: ["D"] } },
    },
    { name: "plain" },
  ];
  const graph = { inspect: () => ({ nodes }) } as unknown as BlockGraph;
  expect(requests({ graph, watchedLocks: [] })).toEqual(["node: write 0x1200+512 is in flight"]);
  expect(held({ graph, watchedLocks: [] })).toEqual([
    'lock "driver" is held by A',
    "node: claim of [0, 4096) is held",
    "node: 2 allocations are under way",
  ]);
  expect(waiting({ graph, watchedLocks: [] })).toEqual([
    'B waits for lock "driver"',
    'C waits for lock "driver"',
    "node: write of B waits for its claim",
    "node: D waits to allocate",
  ]);
});

test("locks that no graph knows count where they are watched", async () => {
  const graph = { inspect: () => ({ nodes: [] }) } as unknown as BlockGraph;
  const mutex = new CoMutex("mine");
  const holding = await mutex.lock({ who: "A" });
  void mutex.lock({ who: "B" });
  expect(held({ graph, watchedLocks: [mutex] })).toEqual(['lock "mine" is held by A']);
  expect(waiting({ graph, watchedLocks: [mutex] })).toEqual(['B waits for lock "mine"']);
  holding[Symbol.dispose]();
});

/** Two writes to one cluster that is new; the data of the first stays in flight. */
function oneCluster(heard: string[]): Scenario {
  return {
    name: "one-cluster",
    about: "what graphs really tell of who holds and waits",
    drivers: [testFormatDriver],
    storage: { completions: "at once" },
    prepare: async (lab: Lab) => {
      await using graph = lab.newGraph();
      await graph.create({ driver: "test-format", filename: "sim:a", size: 8192, values: { cluster_size: 2048 } });
      await graph[Symbol.asyncDispose]();
      const disk = await lab.open("disk", { driver: "test-format", file: "sim:a", even: "sim:a.even", odd: "sim:a.odd", backing: null });
      const fault = lab.storage.fault({ effect: "held", match: ({ kind, file }) => kind === "write" && file === "sim:a.even" });
      return {
        actors: {
          A: (actor) => actor.write(disk, 0, 512),
          B: (actor) => actor.write(disk, 512, 512),
          C: async () => {
            heard.push(...requests(lab), ...held(lab), ...waiting(lab), ...lab.storage.inFlight);
            fault.letGo();
          },
        },
      };
    },
  };
}

test("what graphs report of claims and requests is understood, and nothing is left at the end", async () => {
  const heard: string[] = [];
  const { failure, journal } = await replay(oneCluster(heard), []);
  expect(failure).toBeUndefined();
  const text = heard.join("\n");
  expect(text).toMatch(/: write 0x0\+512 is in flight/);
  expect(text).toMatch(/: claim of .* is held/);
  expect(text).toMatch(/ waits for its claim/);
  expect(text).toContain("sim:a.even: write 0x0+512, held by a fault");
  expect(journal.join("\n")).toMatch(/locks: .*claim of .* is held/);
});
