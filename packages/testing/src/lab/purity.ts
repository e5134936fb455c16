/** Forbids real time and chance to the code under test while runs are going on: with them, a replay is no replay. */

import cryptography from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";
import { RunFailure } from "./run-failure.ts";

/** By module or global, what a message calls it, and the names of its functions. */
const FORBIDDEN: readonly (readonly [object: object, path: string, names: readonly string[]])[] = [
  [globalThis, "", ["setTimeout", "setInterval", "setImmediate"]],
  [timers, "timers.", ["setTimeout", "setInterval", "setImmediate"]],
  [Date, "Date.", ["now"]],
  [globalThis.performance, "performance.", ["now"]],
  [process, "process.", ["hrtime", "uptime"]],
  [process.hrtime, "process.hrtime.", ["bigint"]],
  [Math, "Math.", ["random"]],
  [globalThis.crypto, "crypto.", ["getRandomValues", "randomUUID"]],
  [cryptography, "crypto.", ["randomBytes", "randomFill", "randomFillSync", "randomInt", "randomUUID"]],
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

/**
 * Puts guards in front of real time and chance, also of those that were imported by name, which let everything through until it is
 * forbidden. Costly: once for many runs.
 */
export function guardPurity(): Disposable {
  const undo = FORBIDDEN.flatMap(([object, path, names]) => names.map((name) => guardFunction(object, path, name)));
  undo.push(guardNewDate());
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]: () => {
      for (const back of undo.reverse()) back();
      syncBuiltinESMExports();
    },
  };
}

/** Answers how to take the guard away. */
function guardFunction(object: object, path: string, name: string): () => void {
  const real = Reflect.get(object, name) as (...args: unknown[]) => unknown;
  const own = Object.getOwnPropertyDescriptor(object, name);
  const guard = function (this: unknown, ...args: unknown[]): unknown {
    checkCaller(`${path}${name}()`);
    return real.apply(this, args);
  };
  // What hangs on the function (a promise of a timer, nanoseconds as a bigint) is still there.
  Object.setPrototypeOf(guard, real);
  Object.defineProperty(object, name, { value: guard, configurable: true, writable: true });
  return () => void (own === undefined ? Reflect.deleteProperty(object, name) : Object.defineProperty(object, name, own));
}

/** A date that is given is as good as any number; one that is not given is the time. */
function guardNewDate(): () => void {
  const real = globalThis.Date;
  globalThis.Date = new Proxy(real, {
    construct(target, args, newTarget): object {
      if (args.length === 0) checkCaller("new Date()");
      return Reflect.construct(target, args, newTarget) as object;
    },
  });
  return () => void (globalThis.Date = real);
}

/** Throws where the code under test is the caller of the guard, and now is not the time. */
function checkCaller(what: string): void {
  if (report === undefined) return;
  const caller = callerOf(new Error("caller"));
  if (caller === undefined || NOT_UNDER_TEST.test(caller)) return;
  const failure = new RunFailure("impure", `the code under test calls ${what}: ${caller.trim()}`);
  report(failure);
  throw failure;
}

/** The line of the stack below the check's own and the guard's. */
function callerOf(error: Error): string | undefined {
  return error.stack?.split("\n")[3];
}
