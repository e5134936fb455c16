/** Forbids real time and chance to the code under test while runs are going on: with them, a replay is no replay. */

import { RunFailure } from "./run-failure.ts";

const FORBIDDEN: readonly (readonly [object: object, path: string, name: string])[] = [
  [globalThis, "", "setTimeout"],
  [globalThis, "", "setInterval"],
  [globalThis, "", "setImmediate"],
  [Date, "Date.", "now"],
  [globalThis.performance, "performance.", "now"],
  [Math, "Math.", "random"],
  [crypto, "crypto.", "getRandomValues"],
  [crypto, "crypto.", "randomUUID"],
];

/** The machinery around a test has its own timers: not the code under test, and not to be judged. */
const NOT_UNDER_TEST = /node_modules\/(?:\.pnpm\/)?(?:@?vitest|tinypool|birpc|tsx)|^\s*at [^(]*\(?node:/u;

/** Who hears of it, while somebody must. */
let report: ((failure: RunFailure) => void) | undefined;

/** Until disposed, whoever asks for real time or chance gets an error, and `listener` hears the function's name and who called it. */
export function forbidImpurity(listener: (failure: RunFailure) => void): Disposable {
  report = listener;
  return { [Symbol.dispose]: () => (report = undefined) };
}

/** Puts guards in front of real time and chance, which let everything through until it is forbidden. Costly: once for many runs. */
export function guardPurity(): Disposable {
  const undo = FORBIDDEN.map(([object, path, name]) => {
    const real = Reflect.get(object, name) as (...args: unknown[]) => unknown;
    const own = Object.getOwnPropertyDescriptor(object, name);
    const guard = function (this: unknown, ...args: unknown[]): unknown {
      const caller = report === undefined ? undefined : callerOf(new Error("caller"));
      if (caller === undefined || NOT_UNDER_TEST.test(caller)) return real.apply(this, args);
      const failure = new RunFailure("impure", `the code under test calls ${path}${name}(): ${caller.trim()}`);
      report?.(failure);
      throw failure;
    };
    Object.defineProperty(object, name, { value: guard, configurable: true, writable: true });
    return () => (own === undefined ? Reflect.deleteProperty(object, name) : Object.defineProperty(object, name, own));
  });
  return { [Symbol.dispose]: () => undo.forEach((back) => back()) };
}

/** The line of the stack below the guard's own. */
function callerOf(error: Error): string | undefined {
  return error.stack?.split("\n")[2];
}
