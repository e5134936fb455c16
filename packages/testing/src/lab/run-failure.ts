/** Why a run is no good. */

/**
 * `wrong`: an answer, a disk or an oracle; `stuck`: somebody waits and nothing can happen; `endless`: it goes on and on; `left behind`: all
 * is done and something is still held or in flight; `impure`: the code under test asked for real time or chance; `thrown`: an error that
 * nobody expected.
 */
export type FailureKind = "wrong" | "stuck" | "endless" | "left behind" | "impure" | "thrown";

/** What ends a run. The message is whole sentences, one a line. */
export class RunFailure extends Error {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RunFailure";
    this.kind = kind;
  }

  /** A failure as it is, anything else as `kind`. */
  static of(error: unknown, kind: FailureKind, what: string): RunFailure {
    const first = firstOf(error);
    if (first instanceof RunFailure) return first;
    return new RunFailure(kind, `${what}: ${first instanceof Error ? first.message : String(first)}`, { cause: error });
  }
}

/** What went wrong before its scope was left: a scope that cannot be left in good order either (a `SuppressedError`) hides it. */
function firstOf(error: unknown): unknown {
  return error instanceof Error && "suppressed" in error ? firstOf(error.suppressed) : error;
}
