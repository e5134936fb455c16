/** The command as a function, for programs that embed it. */

export type { Host, SignalName, TextStream } from "./host.ts";
export { main } from "./main.ts";
export { processHost } from "./process-host.ts";
