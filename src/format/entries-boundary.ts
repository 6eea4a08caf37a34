// Where a run of entries ends. A leaf is closed after a path whose hash says so, so that the same paths make the same leaves in every
// snapshot, and an added or removed file shifts nothing behind it.

/** 32-bit FNV-1a over the path's bytes, then one multiplication; one path in 256 ends a leaf. */
export function endsEntriesLeaf(path: string): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  return isEnd(hash);
}

/** As `endsEntriesLeaf`, of the first `length` bytes. */
export function bytesEndEntriesLeaf(path: Uint8Array, length: number): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ path[i]!, 0x01000193);
  return isEnd(hash);
}

function isEnd(hash: number): boolean {
  return Math.imul(hash, 0x9e3779b1) >>> 24 === 0;
}
