/** The host programs that tests compare with: found, installed where that is possible, or named where tests go without them. */

import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { StepError, runQuietly } from "./command.mjs";

/** Debian's package for each command that some test starts. */
const PACKAGES = {
  "qemu-img": "qemu-utils",
  "qemu-io": "qemu-utils",
  "qemu-nbd": "qemu-utils",
  nbdcopy: "libnbd-bin",
  nbdinfo: "libnbd-bin",
  nbdsh: "python3-libnbd",
  nbdkit: "nbdkit",
  fio: "fio",
  mke2fs: "e2fsprogs",
  debugfs: "e2fsprogs",
  openssl: "openssl",
  python3: "python3",
  busybox: "busybox",
  zsh: "zsh",
  fish: "fish",
  mandoc: "mandoc",
  // No command, but the part of QEMU that reads over HTTP.
  "block-curl.so": "qemu-block-extra",
};

/** @typedef {keyof typeof PACKAGES} Command */

/**
 * Installs what is missing, as root on a system with apt; elsewhere says what to install. Answers what stays missing.
 * @returns {Command[]}
 */
export function ensureSystemTools() {
  const missing = missingCommands();
  if (missing.length === 0) return [];
  const why = whyNotInstallable() ?? installPackages(missing);
  const absent = missingCommands();
  if (absent.length > 0) {
    const packages = packagesOf(absent).join(" ");
    process.stderr.write(`coblock: ${absent.join(", ")} not found (${why}); on Debian: apt-get install ${packages}\n`);
  }
  return absent;
}

/** @returns {Command[]} */
function missingCommands() {
  return /** @type {Command[]} */ (Object.keys(PACKAGES)).filter((command) => !isOnPath(command));
}

/** @param {string} command */
function isOnPath(command) {
  if (command.endsWith(".so")) return isQemuModule(command);
  // mke2fs and debugfs are in sbin, which a plain user's PATH leaves out.
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => isExecutable(join(folder, command)));
}

/** @param {string} name */
function isQemuModule(name) {
  const libraries = readdirSync("/usr/lib", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return libraries.some((folder) => existsSync(join("/usr/lib", folder.name, "qemu", name)));
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function whyNotInstallable() {
  if (process.getuid?.() !== 0) return "only root can install them";
  if (!isOnPath("apt-get")) return "this system has no apt-get";
  return undefined;
}

/** @param {readonly Command[]} commands */
function installPackages(commands) {
  const packages = packagesOf(commands);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = ["-o", "DPkg::Lock::Timeout=300"];
  try {
    runQuietly("refreshing Debian's package lists", "apt-get", [...apt, "update"], { env });
    runQuietly(`installing ${packages.join(", ")}`, "apt-get", [...apt, "install", "-y", "--no-install-recommends", ...packages], { env });
    return "not in the packages that were installed";
  } catch (error) {
    if (error instanceof StepError) return error.message.trimEnd();
    throw error;
  }
}

/** @param {readonly Command[]} commands */
function packagesOf(commands) {
  return [...new Set(commands.map((command) => PACKAGES[command]))];
}
