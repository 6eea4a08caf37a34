// The multiplier M of the rolling hash in chunker.ts, from a secret of the repository: whoever sees only the lengths of chunks cannot
// compare them with the cuts of a file that he knows. A hurdle, not a wall: it has about 29 bits, and known content with its lengths
// gives it away to a search. Chunk ids and content rest on other keys.
//
// M mod 4 = 2. One factor of two a step pushes each byte one bit up and out: after 32 steps it is gone, and until then it reaches the
// high bits that decide. An odd M would never forget (no cut would be found again after an insertion), more factors of two would
// shorten the memory to 16 bytes or fewer.
//
// M must also mix. A sum that hardly moves when a byte changes (M = 2, or 0x80000002, whose square is 4) makes candidates of similar
// windows together, so text and tables are cut too often here and too seldom there. Accepted is an M for which
//   (1) changing one byte, 1 to 24 places back, by whatever difference, moves the hash by at least 2^18 either way: more than the width
//       of the candidates' range for averages from 64 KiB up. (The newest byte moves it by at most 255 in any case; of the seven
//       oldest only some bits are left.)
//   (2) a run of one byte value is no candidate for averages from 16 KiB up. The hash of a run of b is b / (1 - M), so this is one
//       product a value. Fillings (0xff, spaces) then become chunks of maximum length like zeros, not a shower of minimum ones.

const MOVE_MIN = 2 ** 18;
const RUN_CANDIDATE = 2 ** 31 - 2 ** 20;
const PLACES = 24;

/**
 * The multiplier for a secret of at least 4 bytes (give it 32, derived for this purpose alone): its little-endian 32-bit words in order,
 * each with the lowest two bits set to 10, the first that mixes. When none does, the last plus 4, plus 8 and so on.
 */
export function chunkMultiplier(secret: Uint8Array): number {
  const view = new DataView(secret.buffer, secret.byteOffset, secret.byteLength);
  let word = 0;
  for (let at = 0; at + 4 <= secret.length; at += 4) {
    word = ((view.getUint32(at, true) & ~3) | 2) >>> 0;
    if (isMixing(word)) return word;
  }
  do word = (word + 4) >>> 0;
  while (!isMixing(word));
  return word;
}

/** Whether `multiplier`, 2 modulo 4, fulfils (1) and (2) above. */
export function isMixing(multiplier: number): boolean {
  let power = 1;
  for (let place = 1; place <= PLACES; place++) {
    power = Math.imul(power, multiplier);
    for (let difference = 1; difference <= 255; difference++) {
      if (Math.abs(Math.imul(power, difference)) < MOVE_MIN) return false;
    }
  }
  const run = inverse(1 - multiplier);
  for (let byte = 1; byte <= 255; byte++) if (Math.imul(run, byte) >= RUN_CANDIDATE) return false;
  return true;
}

/** 1 / `odd` modulo 2^32. Newton: each step doubles the right bits, and an odd number is its own inverse modulo 8. */
function inverse(odd: number): number {
  let x = odd | 0;
  for (let bits = 3; bits < 32; bits *= 2) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x;
}
