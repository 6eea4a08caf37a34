// The numbers and frames of the NBD protocol (fixed newstyle negotiation, simple and structured replies), as far as a read-only server
// needs them. See the protocol's own document, "doc/proto.md" of the nbd project.

export const NBD_MAGIC = Buffer.from('NBDMAGIC', 'latin1');
export const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1');
export const REQUEST_MAGIC = 0x25609513;

export const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 } as const;
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;
export const REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errorUnsupported: 0x80000001,
  errorInvalid: 0x80000003,
  errorUnknown: 0x80000006,
  errorTooBig: 0x80000009,
} as const;
export const INFO = { export: 0, blockSize: 3 } as const;
/** Has flags, read-only, many connections see the same. */
export const EXPORT_FLAGS = 1 | 2 | 256;

export const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, writeZeroes: 6, blockStatus: 7 } as const;
export const COMMAND_FLAG_ONE = 8;
export const ERROR = { none: 0, permission: 1, io: 5, invalid: 22, unsupported: 95 } as const;
export const CHUNK = { none: 0, offsetData: 1, offsetHole: 2, blockStatus: 5, error: 0x8001 } as const;
const CHUNK_DONE = 1;

export const ALLOCATION_CONTEXT = 'base:allocation';
export const ALLOCATION_ID = 1;
export const STATE_HOLE_ZERO = 3;

export function optionReply(option: number, type: number, data: Uint8Array = new Uint8Array(0)): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(0x3e889045565a9n, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

export function exportInfo(sizeBytes: number): Buffer {
  const info = Buffer.alloc(12);
  info.writeUInt16BE(INFO.export, 0);
  info.writeBigUInt64BE(BigInt(sizeBytes), 2);
  info.writeUInt16BE(EXPORT_FLAGS, 10);
  return info;
}

export function blockSizeInfo(preferredBytes: number, mostBytes: number): Buffer {
  const info = Buffer.alloc(14);
  info.writeUInt16BE(INFO.blockSize, 0);
  info.writeUInt32BE(1, 2);
  info.writeUInt32BE(preferredBytes, 6);
  info.writeUInt32BE(mostBytes, 10);
  return info;
}

export type NbdRequest = {
  readonly flags: number;
  readonly command: number;
  readonly handle: Buffer;
  readonly offset: number;
  readonly length: number;
};

export function simpleReply(handle: Buffer, error: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(error, 4);
  return Buffer.concat([head, handle]);
}

/** The head of the last (or only) chunk of a structured reply; `length` bytes follow. */
export function chunkHead(handle: Buffer, type: number, length: number): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(0x668e33ef, 0);
  head.writeUInt16BE(CHUNK_DONE, 4);
  head.writeUInt16BE(type, 6);
  handle.copy(head, 8);
  head.writeUInt32BE(length, 16);
  return head;
}

export function errorChunk(handle: Buffer, error: number): Buffer {
  const body = Buffer.alloc(6);
  body.writeUInt32BE(error, 0);
  return Buffer.concat([chunkHead(handle, CHUNK.error, body.length), body]);
}

export function dataChunkHead(handle: Buffer, offset: number, length: number): Buffer {
  const at = Buffer.alloc(8);
  at.writeBigUInt64BE(BigInt(offset));
  return Buffer.concat([chunkHead(handle, CHUNK.offsetData, 8 + length), at]);
}
