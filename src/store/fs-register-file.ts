// The file of one register value in a directory store: "HFRV", u8 version (1), u8 number of ids, u16 zero, u64 number of the
// value (big endian), the ids (16 bytes each, newest first), then the value. The newest id is a digest of the value: a torn or
// changed file is noticed. That is damage, not a wrong answer of a store: asking again would answer the same.

import { Fault } from '../base/faults.ts';
import { REGISTER_BYTES_MAX, REGISTER_HISTORY } from './object-store.ts';
import { type RegisterHistory, VALUE_ID_HEX, valueId } from './register-history.ts';

const MAGIC = 0x48465256;
const VERSION = 1;
const FIXED_BYTES = 16;
const ID_BYTES = VALUE_ID_HEX / 2;

export const REGISTER_FILE_BYTES_MAX = FIXED_BYTES + REGISTER_HISTORY * ID_BYTES + REGISTER_BYTES_MAX;

/** What stands before the value. */
export function encodeRegisterHeader(history: RegisterHistory): Uint8Array {
  const header = Buffer.alloc(FIXED_BYTES + history.ids.length * ID_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt8(VERSION, 4);
  header.writeUInt8(history.ids.length, 5);
  header.writeBigUInt64BE(BigInt(history.sequence), 8);
  history.ids.forEach((id, i) => {
    header.write(id, FIXED_BYTES + i * ID_BYTES, 'hex');
  });
  return header;
}

/** Throws FORMAT_DAMAGED. `name` is for the message. */
export function decodeRegisterFile(file: Buffer, name: string): { readonly history: RegisterHistory; readonly bytes: Uint8Array } {
  const damaged = () => new Fault('FORMAT_DAMAGED', `the register value ${name} is damaged`);
  if (file.length < FIXED_BYTES || file.readUInt32BE(0) !== MAGIC || file.readUInt8(4) !== VERSION) throw damaged();
  const count = file.readUInt8(5);
  const start = FIXED_BYTES + count * ID_BYTES;
  if (count === 0 || count > REGISTER_HISTORY || file.length < start) throw damaged();
  const ids = Array.from({ length: count }, (_, i) =>
    file.toString('hex', FIXED_BYTES + i * ID_BYTES, FIXED_BYTES + (i + 1) * ID_BYTES),
  );
  const bytes = file.subarray(start);
  if (valueId(bytes) !== ids[0]) throw damaged();
  return { history: { sequence: Number(file.readBigUInt64BE(8)), ids }, bytes };
}
