/** Signals whose aborts are steps like others: the walk is told who looks at one, and who aborts it. */

import type { TouchKind } from "@coblock/core";

/** Who is told. */
interface TouchedRanges {
  touchedRange(name: string, start: number, end: number, kind: TouchKind): void;
}

/** `name` is the same in every run. Listening and looking commute; an abort commutes with neither. */
export function simAbortController(name: string, witness: TouchedRanges): AbortController {
  const controller = new AbortController();
  const { signal } = controller;
  const abort = controller.abort.bind(controller);
  const listen = signal.addEventListener.bind(signal);
  const throwIfAborted = signal.throwIfAborted.bind(signal);
  const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted");
  const touch = (kind: TouchKind): void => witness.touchedRange(name, 0, 1, kind);
  Object.defineProperties(signal, {
    aborted: {
      get: () => {
        touch("read");
        return aborted?.get?.call(signal) as boolean;
      },
    },
    throwIfAborted: {
      value: () => {
        touch("read");
        throwIfAborted();
      },
    },
    addEventListener: {
      value: (...args: Parameters<typeof listen>) => {
        touch("read");
        listen(...args);
      },
    },
  });
  controller.abort = (reason?: unknown): void => {
    touch("write");
    abort(reason);
  };
  return controller;
}
