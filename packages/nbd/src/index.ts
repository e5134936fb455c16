/** NBD: a server for any node, and a protocol driver for any server. */

export { NbdServer, type AttachedExport, type NbdAddress, type NbdServerOptions } from "./server/nbd-server.ts";
export { disconnectDevice, KernelDevice, type DeviceCalls, type DeviceOptions } from "./device/kernel-device.ts";
export type { DescribedExport } from "./client/client-handshake.ts";
export { findServedBitmap } from "./server/served-bitmap.ts";
export type { NbdExport } from "./server/served-export.ts";
export type { NbdServerEvent } from "./server/server-event.ts";
export type { ServerTls, TlsCertificates, TlsCredentials, TlsPreSharedKeys } from "./transport/tls.ts";
export { loadCertificates, loadPreSharedKeys } from "./transport/tls-folder.ts";
export { nbdDriver, nbdDriverWith, type NbdOptions, type TlsFolder } from "./entry.ts";
export { describeExports, listExports } from "./client/driver.ts";
