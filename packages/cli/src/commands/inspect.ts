/** `coblock inspect`: opens an image with its chain and prints what the graph knows of it. */

import { defineCommand, type Command } from "../command.ts";
import { flag, value } from "../command-line.ts";
import { CommandFailure } from "../failure.ts";
import { openImage } from "../images.ts";

const OPTIONS = {
  format: value("f", "format"),
  imageOptions: flag(undefined, "image-opts"),
  forceShare: flag("U", "force-share"),
} as const;

export const command: Command = defineCommand({
  name: "inspect",
  manual: async () => (await import("../manual/inspect.ts")).page,
  options: OPTIONS,
  run: async ({ options, operands }, session) => {
    const [name, ...more] = operands;
    if (name === undefined || more.length > 0) throw new CommandFailure("inspect: Expecting one image file name");
    await using graph = session.createGraph();
    await using _image = await openImage(graph, { name, ...options }, session);
    session.output.line(session.inspection());
    return 0;
  },
});
