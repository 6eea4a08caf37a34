// In what two entries of one path differ. Times of the inode, its number and its device do not count: a restore cannot bring them back.

import type { Xattr } from '../model/entry.ts';
import { bytesEqual, digestOf, lengthOf, type References, referenceCount } from '../model/reference.ts';
import type { Content, StoredEntry } from '../model/stored-entry.ts';
import { chunksOf, type ReadNode } from './content-map.ts';
import { findEntry } from './entries-reader.ts';

export type EntryOfTree = { readonly entry: StoredEntry; readonly root: References };

/** Names of what differs, none when nothing does. */
export async function changeOfEntry(before: EntryOfTree, after: EntryOfTree, readNode: ReadNode): Promise<string[]> {
  const a = before.entry;
  const b = after.entry;
  if (a.kind !== b.kind) return ['kind'];
  const fields: string[] = [];
  if (a.sizeBytes !== b.sizeBytes) fields.push('size', 'content');
  else if (a.kind === 'file' && !(await hasSameContent(before, after, readNode))) fields.push('content');
  if (a.linkTarget !== b.linkTarget) fields.push('target');
  if (a.rdevMajor !== b.rdevMajor || a.rdevMinor !== b.rdevMinor) fields.push('device');
  if (a.mode !== b.mode) fields.push('mode');
  if (a.uid !== b.uid || a.gid !== b.gid) fields.push('owner');
  if (a.mtimeSec !== b.mtimeSec || a.mtimeNsec !== b.mtimeNsec) fields.push('mtime');
  if (!hasSameXattrs(a.xattrs, b.xattrs)) fields.push('xattrs');
  if (a.hardLinkTo !== b.hardLinkTo) fields.push('links');
  return fields;
}

async function hasSameContent(before: EntryOfTree, after: EntryOfTree, readNode: ReadNode): Promise<boolean> {
  const a = before.entry;
  const b = after.entry;
  if (a.hardLinkTo === '' && b.hardLinkTo === '') return isSameContent(a.content, b.content, a.sizeBytes, readNode);
  const isSameInode =
    a.ctimeSec === b.ctimeSec &&
    a.ctimeNsec === b.ctimeNsec &&
    a.inode === b.inode &&
    a.mtimeSec === b.mtimeSec &&
    a.mtimeNsec === b.mtimeNsec;
  if (isSameInode && a.hardLinkTo === b.hardLinkTo) return true;
  const [x, y] = await Promise.all(
    [before, after].map(({ entry, root }) => (entry.hardLinkTo === '' ? entry : findEntry(root, readNode, entry.hardLinkTo))),
  );
  return (
    x !== undefined && y !== undefined && x.sizeBytes === y.sizeBytes && isSameContent(x.content, y.content, x.sizeBytes, readNode)
  );
}

/** Contents of the same length. */
export async function isSameContent(a: Content, b: Content, sizeBytes: number, readNode: ReadNode): Promise<boolean> {
  if (a.kind === 'units-map' || b.kind === 'units-map') {
    if (a.kind !== 'units-map' || b.kind !== 'units-map') return false;
    return hasSameDigest(a.root, b.root);
  }
  if (a.kind === 'chunks-map' && b.kind === 'chunks-map' && hasSameDigest(a.root, b.root)) return true;
  // A chunk that was stored twice lies in two places, and then the maps differ though the content does not.
  const x = digests(a, sizeBytes, readNode);
  const y = digests(b, sizeBytes, readNode);
  for (;;) {
    const [p, q] = await Promise.all([x.next(), y.next()]);
    if (p.done === true || q.done === true) return p.done === q.done;
    if (p.value !== q.value) return false;
  }
}

async function* digests(content: Content, sizeBytes: number, readNode: ReadNode): AsyncGenerator<string> {
  if (content.kind === 'none' || content.kind === 'units-map') return;
  const lists = content.kind === 'chunks' ? [content.references] : chunksOf(content.root, readNode, sizeBytes);
  for await (const references of lists) {
    for (let i = 0; i < referenceCount(references); i++)
      yield `${lengthOf(references, i)} ${Buffer.from(digestOf(references, i)).toString('latin1')}`;
  }
}

function hasSameDigest(a: References, b: References): boolean {
  return a.length === b.length && (a.length === 0 || bytesEqual(digestOf(a), digestOf(b)));
}

function hasSameXattrs(a: readonly Xattr[], b: readonly Xattr[]): boolean {
  return a.length === b.length && a.every(({ name, value }, i) => name === b[i]!.name && bytesEqual(value, b[i]!.value));
}
