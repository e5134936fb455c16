/** A little of what `npm run stress` does for long. */

import { describe, expect, it } from "vitest";
import { CONFIGURATIONS } from "./configurations.ts";
import { stress } from "./qcow2-stress.ts";

const REQUESTS = 1500;

describe("64 workers beside snapshots, growth, discards and other cache sizes", () => {
  it.each(CONFIGURATIONS)("$name", async (configuration) => {
    const { requests, reopenings } = await stress({ configuration, seed: 7, goesOn: (begun) => begun < REQUESTS });
    expect(requests).toBeGreaterThanOrEqual(REQUESTS);
    expect(reopenings).toBeGreaterThan(0);
  });
});
