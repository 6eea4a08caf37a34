// CRC-32C (Castagnoli), as PostgreSQL uses it. For small records: a table, a byte at a time.

const TABLE = makeTable();

function makeTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0x82f63b78;
    table[n] = value >>> 0;
  }
  return table;
}

/** `before`: the result for what comes before these bytes. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let value = ~before >>> 0;
  for (let i = 0; i < bytes.length; i++) value = (TABLE[(value ^ bytes[i]!) & 0xff]! ^ (value >>> 8)) >>> 0;
  return ~value >>> 0;
}
