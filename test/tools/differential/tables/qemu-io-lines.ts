/** Lines for qemu-io in few words. */

export const raw = (...commands: readonly string[]): string => `-f raw${commandsOf(commands)} disk.raw`;
export const qcow2 = (...commands: readonly string[]): string => `-f qcow2${commandsOf(commands)} disk.qcow2`;
const commandsOf = (commands: readonly string[]): string => commands.map((command) => ` -c '${command}'`).join("");
/** The image by options. */
export const by = (options: string, ...commands: readonly string[]): string => `--image-opts${commandsOf(commands)} ${options}`;
export const ending = (input: string): string => `${input}\n`;

/** Every member of the first list with every member of the second. */
export function pairs(left: readonly string[], right: readonly string[]): string[] {
  return left.flatMap((one) => right.map((other) => `${one}${other}`));
}
