/** The version of this package; a test holds it to package.json. */

export const VERSION = "0.1.0";

/** The QEMU whose tools' words are spoken. */
export const QEMU_VERSION = "7.2.0";
