/** The manual of `coblock amend`. */

import { cache, FORMAT, IMAGE_OPTIONS, PROGRESS, QUIET } from "./arguments.ts";
import type { ManualPage } from "./page.ts";

export const page: ManualPage = {
  operands: ["-o options filename"],
  description: ["Changes options that were chosen when the image was made; the disk reads as before."],
  options: {
    format: FORMAT,
    changes: { argument: "options", completes: "amend options", help: "name=value,... ; -o help lists the names" },
    cache: cache("is checked and changes nothing"),
    progress: PROGRESS,
    quiet: QUIET,
    imageOptions: IMAGE_OPTIONS,
    force: "also erase or overwrite the last key of an encrypted image",
  },
  examples: [
    { line: "coblock amend -o compat=1.1 old.qcow2", why: "bring an old qcow2 image to version 3" },
    { line: "coblock amend -f qcow2 -o help", why: "list what can be changed" },
    {
      line: "coblock amend --object secret,id=old,file=old --object secret,id=new,file=new -o encrypt.state=active,encrypt.new-secret=new --image-opts driver=qcow2,file.filename=secret.qcow2,encrypt.key-secret=old",
      why: "add a passphrase to an encrypted image",
    },
  ],
};
