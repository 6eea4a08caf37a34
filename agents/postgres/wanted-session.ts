// What a server must be, as target_session_attrs in its connection string says: an address that moves with the primary may lead to a standby for a while.

import { Fault } from '../../src/base/faults.ts';
import { describeServer, type ServerAddress } from './connection-string.ts';

/** Asks the server; its answer is for `mustBeWanted`. */
export const LOOK_AT_SESSION = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')";

/** PG_UNREACHABLE. */
export function mustBeWanted(address: ServerAddress, [isStandby, isReadOnly]: readonly (string | null)[]): void {
  const { session } = address;
  const has = isStandby === 't' ? 'standby' : 'primary';
  const can = isReadOnly === 'on' ? 'read-only' : 'read-write';
  if (session === undefined || session === has || session === can) return;
  throw new Fault(
    'PG_UNREACHABLE',
    `The server at ${describeServer(address)} is a ${has} (${can}), and target_session_attrs asks for ${session}`,
    { hint: 'Name the server that is, or leave that word away.' },
  );
}
