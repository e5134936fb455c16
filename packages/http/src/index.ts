/** HTTP and HTTPS: files on web servers as images that are read. */

export { httpDriver, httpsDriver, type HttpOptions } from "./entry.ts";
