/** What a peer sent that the protocol does not allow. */

/** The connection ends: nothing that follows on it can be trusted. The message is one line. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Throws a `ProtocolError` unless the peer kept to the protocol. */
export function expectPeer(condition: unknown, message: string): asserts condition {
  if (!condition) throw new ProtocolError(message);
}
