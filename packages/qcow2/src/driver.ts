/** The qcow2 driver: what a graph is given, and what it loads when an image needs it. */

import type { BlockDriver, DriverEntry } from "@coblock/core";
import { AMEND_OPTIONS } from "./amend/amend-options.ts";
import { CREATE_OPTIONS } from "./create-options.ts";
import { BEHAVIOUR_OPTION_NAMES, CACHE_OPTION_NAMES, OPTION_NAMES } from "./options.ts";

const MAGIC = [0x51, 0x46, 0x49, 0xfb] as const;

/** Give this to `BlockGraph`. Opens qcow2 versions 2 and 3; version 1 is another format, "qcow". */
export const qcow2Driver: DriverEntry = {
  name: "qcow2",
  kind: "format",
  probe: (head) => {
    const version = head.length < 8 ? 0 : new DataView(head.buffer, head.byteOffset).getUint32(4);
    // A version that is not there yet is refused by name, and not taken for a raw disk.
    return MAGIC.every((byte, index) => head[index] === byte) && version >= 2 ? 100 : 0;
  },
  load: async () => {
    const { openImage } = await import("./image/open.ts");
    const driver: BlockDriver<"qcow2"> = {
      name: "qcow2",
      kind: "format",
      optionNames: OPTION_NAMES,
      reopenOptionNames: [...CACHE_OPTION_NAMES, ...BEHAVIOUR_OPTION_NAMES],
      createOptions: CREATE_OPTIONS,
      amendOptions: AMEND_OPTIONS,
      open: openImage,
      create: async (options, context) => (await import("./create.ts")).createImage(options, context),
      measure: async (content) => (await import("./measure.ts")).measureImage(content),
    };
    return driver;
  },
};
