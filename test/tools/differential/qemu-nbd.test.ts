import { BothPrograms } from "./both-programs.ts";
import { compareTable } from "./compare-table.ts";
import { makeIoFiles } from "./tables/qemu-io-files.ts";
import { DEVICES, IMAGES, LISTS, OBJECTS, PLACES, WORDS } from "./tables/qemu-nbd.ts";

compareTable("qemu-nbd", async () => new BothPrograms("qemu-nbd", makeIoFiles), {
  words: WORDS,
  objects: OBJECTS,
  lists: LISTS,
  places: PLACES,
  images: IMAGES,
  devices: DEVICES,
});
