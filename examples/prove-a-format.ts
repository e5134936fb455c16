/** Runs the writable VDI example under every order of its I/O and cuts the power at every write: what a format's author does before trusting it. */

import { explore, powerCut, type Scenario } from "@coblock/testing";
import { vdiDriver } from "./formats/vdi.ts";

const SECTOR = 512;

const overlappingWrites: Scenario = {
  name: "overlapping-writes",
  about: "two writes that share a sector of a new block, beside a read of it",
  drivers: [vdiDriver],
  storage: { completions: "later" },
  async prepare(lab) {
    await lab.image({ driver: "vdi", filename: "sim:disk.vdi", size: 4 * 1024 * 1024 });
    const disk = await lab.open("disk", { driver: "vdi", file: "sim:disk.vdi" });
    return {
      actors: {
        A: (actor) => actor.write(disk, 0, 2 * SECTOR),
        B: (actor) => actor.write(disk, SECTOR, 2 * SECTOR),
        C: (actor) => actor.read(disk, 0, 4 * SECTOR),
      },
    };
  },
};

const walk = await explore(overlappingWrites, { mode: "exhaustive" });
console.log(`${walk.schedules} schedules, ${walk.complete ? "all there are" : "not all"}, ${walk.pruned} more left out as redundant`);

const cuts = await powerCut(overlappingWrites, { seeds: [1], bound: 4 });
console.log(`${cuts.cuts} power cuts at ${cuts.moments} moments`);

const failure = walk.failure ?? cuts.failure;
console.log(failure?.report ?? "no schedule and no cut leaves a wrong byte");
