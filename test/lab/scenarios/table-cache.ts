/** Hazards of the table cache itself, with a user that lets the lock go while its update is on the way to the disk. */

import { rawDriver } from "@coblock/core";
import type { Lab, Play, Scenario } from "@coblock/testing";
import { CounterTables } from "./counter-tables.ts";

async function evicting(lab: Lab, judge: (tables: CounterTables) => Promise<void>): Promise<Play> {
  const tables = await CounterTables.open(lab, { tables: 2, capacity: 1 });
  return {
    actors: {
      A: (actor) => actor.does("increment 0.0", () => tables.increment(0, 0)),
      B: (actor) =>
        actor.does("look at table 1, then at table 0", async () => {
          await tables.look(1, 0);
          await tables.look(0, 0);
        }),
      C: (actor) => actor.does("increment 0.1", () => tables.increment(0, 1)),
    },
    judge: () => judge(tables),
  };
}

const tableCacheEvict: Scenario = {
  name: "table-cache-evict",
  about: "two updates of one table, with looks at another table and at the first beside them, and room for one table: none is lost",
  drivers: [rawDriver],
  storage: { completions: "later" },
  prepare: (lab) => evicting(lab, (tables) => tables.expectNoLostUpdate()),
};

const tableCacheIdentity: Scenario = {
  name: "table-cache-identity",
  about: "the same: a table whose update is in flight stays the same object",
  drivers: [rawDriver],
  storage: { completions: "later" },
  prepare: (lab) => evicting(lab, (tables) => tables.expectNoneReplaced()),
};

const tableCacheTwice: Scenario = {
  name: "table-cache-twice",
  about: "two misses of one table at one time, one of which keeps the lock, and an update through each of them",
  drivers: [rawDriver],
  storage: { completions: "later" },
  async prepare(lab) {
    const tables = await CounterTables.open(lab, { tables: 1, capacity: 4 });
    return {
      actors: {
        A: (actor) =>
          actor.does("look at 0.0, then increment 0.0", async () => {
            await tables.look(0, 0);
            await tables.increment(0, 0);
          }),
        B: (actor) => actor.does("increment 0.1", () => tables.increment(0, 1, "fetch")),
      },
      judge: () => tables.expectNoLostUpdate(),
    };
  },
};

export const TABLE_CACHE_SCENARIOS: readonly Scenario[] = [tableCacheEvict, tableCacheIdentity, tableCacheTwice];
