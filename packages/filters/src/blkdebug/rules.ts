/** What shall happen at which event: the rules of a test, as options give them. Names and defaults are those of QEMU's `BlkdebugInjectErrorOptions`. */

import { BlockError, errnoName, type BlockEvent } from "@coblock/core";
import { flagOf, listOf, textOf, wholeNumber } from "../option-values.ts";
import { eventOf } from "./event-names.ts";

const SECTOR_LENGTH = 512;
/** Input/output error. */
const DEFAULT_ERRNO = 5;

/** What a request does, by QEMU's names. */
export type IoType = "read" | "write" | "write-zeroes" | "discard" | "flush" | "block-status";
const IO_TYPES: readonly IoType[] = ["read", "write", "write-zeroes", "discard", "flush", "block-status"];

/** From the event on, requests fail. */
export interface InjectErrorRule {
  readonly kind: "inject-error";
  readonly event: BlockEvent;
  /** 0: in every state. */
  readonly state: number;
  /** The host's name of the error; absent: the request succeeds. */
  readonly errno: string | undefined;
  /** Bytes; only requests that touch this place. Absent: all. */
  readonly offset: number | undefined;
  /** Only requests of this type. Absent: all but those for block status. */
  readonly ioType: IoType | undefined;
  readonly once: boolean;
  /** Before the request yields. */
  readonly immediately: boolean;
}

/** The event leads from one state to another. */
interface SetStateRule {
  readonly kind: "set-state";
  readonly event: BlockEvent;
  /** 0: from every state. */
  readonly state: number;
  readonly newState: number;
}

export type Rule = InjectErrorRule | SetStateRule;

const INJECT_NAMES = ["event", "state", "iotype", "errno", "sector", "once", "immediately"];
const STATE_NAMES = ["event", "state", "new_state"];

/** Rules in the order of the options. Throws INVALID_OPTION. */
export function rulesOf(injectError: unknown, setState: unknown): Rule[] {
  return [
    ...listOf(injectError, "inject-error").map((options) => injectErrorRule(members(options, "inject-error", INJECT_NAMES))),
    ...listOf(setState, "set-state").map((options) => setStateRule(members(options, "set-state", STATE_NAMES))),
  ];
}

type Members = Readonly<Record<string, unknown>>;

/** Throws INVALID_OPTION for a name that the section does not have. */
function members(options: unknown, section: string, names: readonly string[]): Members {
  if (typeof options !== "object" || options === null) throw new BlockError("INVALID_OPTION", `A rule of '${section}' is not an object`);
  const wrong = Object.keys(options).find((name) => !names.includes(name));
  if (wrong !== undefined) throw new BlockError("INVALID_OPTION", `[${section}] section doesn't support the option '${wrong}'`);
  return options as Members;
}

function injectErrorRule(options: Members): InjectErrorRule {
  const event = eventOf(options["event"]);
  const ioType = options["iotype"];
  const sector = options["sector"] === -1 ? undefined : wholeNumber(options["sector"], "sector");
  const errno = wholeNumber(options["errno"], "errno") ?? DEFAULT_ERRNO;
  if (ioType !== undefined && !isIoType(ioType)) throw new BlockError("INVALID_OPTION", `invalid parameter value: ${textOf(ioType)}`);
  return {
    kind: "inject-error",
    event,
    state: wholeNumber(options["state"], "state") ?? 0,
    errno: errno === 0 ? undefined : errnoName(errno),
    offset: sector === undefined ? undefined : sector * SECTOR_LENGTH,
    ioType,
    once: flagOf(options["once"], "once"),
    immediately: flagOf(options["immediately"], "immediately"),
  };
}

function setStateRule(options: Members): SetStateRule {
  return {
    kind: "set-state",
    event: eventOf(options["event"]),
    state: wholeNumber(options["state"], "state") ?? 0,
    newState: wholeNumber(options["new_state"], "new_state") ?? 0,
  };
}

function isIoType(word: unknown): word is IoType {
  return IO_TYPES.includes(word as IoType);
}
