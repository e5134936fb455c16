/** The end of a connection that was not agreed on. */

/** The peer left, or the socket failed; the message says which, `cause` holds the socket's own words. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}
