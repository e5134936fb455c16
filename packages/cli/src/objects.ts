/** `--object`: what is made before images are opened, and named by their options. */

import { BlockError, type Clock, type Secrets } from "@coblock/core";
import { limitsOf, ThrottleGroup } from "@coblock/filters";
import { CommandFailure } from "./failure.ts";
import { AUTHORIZATION_TYPES, type Authorization, authorizationOf, flatten } from "./authz-objects.ts";
import { secretOf } from "./secret-objects.ts";
import { parseKeyValues } from "./text/key-values.ts";
import { TLS_TYPES, tlsObjectOf, type TlsObject } from "./tls-objects.ts";

/** What options can name. */
export interface Objects {
  readonly secrets: Secrets;
  readonly throttleGroups: ReadonlyMap<string, ThrottleGroup>;
  readonly tlsCredentials: ReadonlyMap<string, TlsObject>;
  readonly authorizations: ReadonlyMap<string, Authorization>;
}

const TYPES = ["secret", "throttle-group", ...TLS_TYPES, ...AUTHORIZATION_TYPES];
const IDENTIFIER = /^[A-Za-z][A-Za-z0-9._-]*$/;

/** One for each `--object`. Throws CommandFailure, which shows nothing of a secret. */
export async function makeObjects(texts: readonly string[], clock: Clock): Promise<Objects> {
  const secrets = new Map<string, Uint8Array>();
  const throttleGroups = new Map<string, ThrottleGroup>();
  const tlsCredentials = new Map<string, TlsObject>();
  const authorizations = new Map<string, Authorization>();
  for (const words of texts.map(parseObject)) {
    const id = idOf(words);
    if ([secrets, throttleGroups, tlsCredentials, authorizations].some((made) => made.has(id)))
      throw new CommandFailure(`attempt to add duplicate property '${id}' to object (type 'container')`);
    const own = new Map([...words].filter(([name]) => name !== "qom-type" && name !== "id"));
    const type = words.get("qom-type") ?? "";
    if (TLS_TYPES.includes(type)) tlsCredentials.set(id, await tlsObjectOf(type, own));
    else if (AUTHORIZATION_TYPES.includes(type)) authorizations.set(id, authorizationOf(type, own));
    else if (type === "secret") secrets.set(id, await secretOf(id, own));
    else throttleGroups.set(id, throttleGroupOf(id, own, clock));
  }
  return { secrets: Object.fromEntries(secrets), throttleGroups, tlsCredentials, authorizations };
}

function throttleGroupOf(id: string, words: Words, clock: Clock): ThrottleGroup {
  for (const [name, value] of words)
    if (/^x-[bi]/.test(name) && !/^\d+$/.test(value)) throw new CommandFailure(`Parameter '${name}' expects integer`);
  try {
    return new ThrottleGroup(id, limitsOf(words), clock);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new CommandFailure(error.message, 1, { cause: error });
  }
}

type Words = ReadonlyMap<string, string>;

/** A list of options whose first word may be the type alone, or an object in JSON. */
function parseObject(text: string): Words {
  const words = text.startsWith("{") ? parseJson(text) : parseList(text);
  const type = words.get("qom-type");
  if (type === undefined) throw new CommandFailure("Parameter 'qom-type' is missing");
  if (!TYPES.includes(type)) throw new CommandFailure(`Parameter 'qom-type' does not accept value '${type}'`);
  return words;
}

function parseList(text: string): Words {
  const type = /^[^=,]+(?=,|$)/.exec(text)?.[0];
  return parseKeyValues(type === undefined ? text : `qom-type=${text}`);
}

function parseJson(text: string): Words {
  let parsed: object;
  try {
    parsed = JSON.parse(text) as object;
  } catch (cause) {
    // What the parser says may show the text.
    throw new CommandFailure("--object is neither a list of options nor JSON", 1, { cause });
  }
  return flatten(parsed);
}

function idOf(words: Words): string {
  const id = words.get("id");
  if (id === undefined) throw new CommandFailure("Parameter 'id' is missing");
  if (!IDENTIFIER.test(id)) throw new CommandFailure(`Parameter 'id' expects an identifier, not '${id}'`);
  return id;
}
