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
    if (error instanceof RunFailure) return error;
    return new RunFailure(kind, `${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
