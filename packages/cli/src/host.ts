/** What the command takes from its process, or from a test in its place. */

/** Structurally a part of `process`. */
export interface Host {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  /** Commands that are typed, or piped. */
  readonly stdin?: NodeJS.ReadStream;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly pid?: number;
  kill?(pid: number, signal: number): unknown;
  on?(signal: SignalName, listener: () => void): unknown;
  off?(signal: SignalName, listener: () => void): unknown;
  /** Whether a terminal has shown the text page by page. */
  page?(text: string): Promise<boolean>;
}

export type SignalName = "SIGHUP" | "SIGINT" | "SIGTERM" | "SIGUSR1" | "SIGUSR2";

export interface TextStream {
  /** `done` is called when the text was taken by the system, or could not be; streams without events need not call it. */
  write(text: string, done?: (error?: Error | null) => void): unknown;
  readonly isTTY?: boolean;
  /** Width of the terminal, characters. */
  readonly columns?: number;
  on?(event: "error", listener: (error: Error) => void): unknown;
}
