/** What a server tells of its clients. */

import type { Traffic } from "./transmission.ts";

/** `lost`: the client went away without a word. `cut off`: it broke the protocol or a limit, as `reason` says in one line. */
export type NbdServerEvent =
  | { readonly kind: "connected"; readonly client: string }
  | { readonly kind: "chosen"; readonly client: string; readonly exportName: string; readonly secure: boolean }
  | { readonly kind: "left"; readonly client: string; readonly traffic: Readonly<Traffic> }
  | { readonly kind: "lost" | "cut off" | "refused"; readonly client: string; readonly reason: string };
