/** Commands that hold requests back and let them go: `break`, `wait_break`, `resume` and `remove_break`. */

import type { Breakpoints } from "@coblock/core";
import type { IoCommand } from "../command.ts";
import { IoFailure } from "../failure.ts";
import type { Shell } from "../shell.ts";

const NOT_SUPPORTED = "Operation not supported";
const NOT_FOUND = "No such file or directory";

export const setBreak: IoCommand = {
  name: "break",
  minimum: 2,
  maximum: 2,
  synopsis: "event tag",
  summary: "hold back the next request that comes to an event, and call it by a tag",
  needs: "image",
  run: async ({ shell, operands: [event = "", tag = ""] }) => {
    const breakpoints = find(shell, "Could not set breakpoint");
    if (!breakpoints.set(event, tag)) throw new IoFailure(`Could not set breakpoint: ${NOT_FOUND}`);
  },
};

export const waitBreak: IoCommand = {
  name: "wait_break",
  minimum: 1,
  maximum: 1,
  synopsis: "tag",
  summary: "wait until a request of this tag is held back",
  needs: "image",
  run: async ({ shell, operands: [tag = ""] }) => {
    const { signal } = shell.session;
    await find(shell, "Could not wait for a request").suspended(tag, { signal });
  },
};

export const resume: IoCommand = {
  name: "resume",
  minimum: 1,
  maximum: 1,
  synopsis: "tag",
  summary: "let the request of this tag go on",
  needs: "image",
  run: async ({ shell, operands: [tag = ""] }) => {
    if (!find(shell, "Could not resume request").resume(tag)) throw new IoFailure(`Could not resume request: ${NOT_FOUND}`);
    await shell.clock.yield();
  },
};

export const removeBreak: IoCommand = {
  name: "remove_break",
  minimum: 1,
  maximum: 1,
  synopsis: "tag",
  summary: "hold nothing back by this tag any more, and let go what is",
  needs: "image",
  run: async ({ shell, operands: [tag = ""] }) => {
    const problem = `Could not remove breakpoint ${tag}`;
    if (!find(shell, problem).remove(tag)) throw new IoFailure(`${problem}: ${NOT_FOUND}`);
    await shell.clock.yield();
  },
};

function find(shell: Shell, problem: string): Breakpoints {
  const { breakpoints } = shell.node;
  if (breakpoints === undefined) throw new IoFailure(`${problem}: ${NOT_SUPPORTED}`);
  return breakpoints;
}
