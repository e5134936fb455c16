/** Opens files on web servers. */

import { type BlockDriver, BlockError, type OpenContext } from "@coblock/core";
import type { HttpOptions } from "./entry.ts";
import { HttpImage } from "./http-image.ts";
import { RemoteFile } from "./remote-file.ts";
import { OPTION_NAMES, resolveSettings } from "./settings.ts";

/** `http`: see `HttpOptions`. */
export const httpDriver: BlockDriver<"http"> = driverOf("http");
/** `https`: see `HttpOptions`. */
export const httpsDriver: BlockDriver<"https"> = driverOf("https");

function driverOf<Name extends "http" | "https">(name: Name): BlockDriver<Name> {
  const open = (options: HttpOptions, context: OpenContext): Promise<HttpImage> => openImage(name, options, context);
  return Object.freeze({ name, kind: "protocol", optionNames: OPTION_NAMES, open });
}

async function openImage(scheme: "http" | "https", options: HttpOptions, context: OpenContext): Promise<HttpImage> {
  const settings = resolveSettings(scheme, options, (id) => context.secret(id));
  if (!context.readOnly)
    throw new BlockError("READ_ONLY", `${settings.shownUrl}: files on web servers can only be read; open it read-only`, {
      node: context.nodeName,
    });
  const file = new RemoteFile(settings, context);
  try {
    return new HttpImage(file, await file.open(context.signal), settings);
  } catch (error) {
    file.close();
    throw error;
  }
}
