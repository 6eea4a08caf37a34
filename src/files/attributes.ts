// Extended attributes, owner, mode and time of an entry: read from it, written back to it.
//
// The order of writing matters. The owner first: a chown clears setuid and drops capabilities. Then the attributes: ACLs change the
// mode, and a file that is already read-only takes no more `user.*`. Then the mode. The time last, because nothing after may touch the
// entry; so content comes before all of this, and what is in a directory before the directory.
//
// What cannot be applied (no root, a file system without ACLs) is answered as a list of problems, never thrown. A loss must not become
// a gift: without its owner an entry loses setuid and setgid, and without its ACL the group gets what the ACL gave it, not the mask.

import { type FileEntry, XATTRS_BYTES_MAX, type Xattr } from '../model/entry.ts';
import { displayPath } from '../model/entry-path.ts';
import { FileStat, type Posix } from './posix.ts';
import { isPosixError, PosixError } from './posix-error.ts';

export type Attributes = Pick<FileEntry, 'path' | 'kind' | 'mode' | 'uid' | 'gid' | 'mtimeSec' | 'mtimeNsec'> & {
  readonly xattrs: readonly Xattr[];
};

export type AttributeProblem = {
  readonly kind: 'problem';
  readonly path: string;
  readonly what: 'owner' | 'xattr' | 'mode' | 'mtime';
  /** Name of the errno: EPERM for want of rights, ENOTSUP for want of support. */
  readonly code: string;
  readonly message: string;
};

export const NO_XATTRS: readonly Xattr[] = Object.freeze([]);

const SPECIAL_BITS = 0o6000;
const KEEP = 0xffff_ffff;
const ACLS = 'system.posix_acl_';
const ACCESS_ACL = 'system.posix_acl_access';

/** All extended attributes of (at, name), in byte order of their names; see `Posix` for what (at, name) means. Throws PosixError; E2BIG
 *  when they are more than XATTRS_BYTES_MAX. */
export function readXattrs(posix: Posix, at: number, name: string): readonly Xattr[] {
  const names = posix.listXattrs(at, name);
  if (names.length === 0) return NO_XATTRS;
  const xattrs: Xattr[] = [];
  let bytes = 0;
  for (const attribute of [...names].sort()) {
    const value = posix.getXattr(at, name, attribute);
    if (value === undefined) continue;
    bytes += attribute.length + value.length;
    if (bytes > XATTRS_BYTES_MAX) throw new PosixError('E2BIG', 'getxattr', name);
    xattrs.push({ name: attribute, value });
  }
  return xattrs;
}

/** Gives (at, name) the attributes of an entry, and answers what could not be. Attributes that were there and are not the entry's own
 *  (inherited default ACLs, those of an older file) are taken away; labels of security modules stay. */
export function applyAttributes(posix: Posix, at: number, name: string, wanted: Attributes): readonly AttributeProblem[] {
  const problems: AttributeProblem[] = [];
  const attempt: Attempt = (what, action, detail) => {
    try {
      action();
      return true;
    } catch (error) {
      if (!isPosixError(error)) throw error;
      const { message } = new PosixError(
        error.code,
        detail === undefined ? error.call : `${error.call} ${displayPath(detail)}`,
        wanted.path,
      );
      problems.push({ kind: 'problem', path: wanted.path, what, code: error.code, message });
      return false;
    }
  };
  const owned = applyOwner(posix, at, name, wanted, attempt);
  const acl = applyXattrs(posix, at, name, wanted, attempt);
  if (wanted.kind !== 'symlink') {
    const mode = (acl ? wanted.mode : modeWithoutAcl(wanted)) & (owned ? 0o7777 : ~SPECIAL_BITS);
    attempt('mode', () => {
      posix.chmod(at, name, mode);
      // The kernel drops setgid in silence when the group is not one of ours.
      if ((mode & SPECIAL_BITS) !== 0 && (look(posix, at, name).mode & SPECIAL_BITS) !== (mode & SPECIAL_BITS))
        throw new PosixError('EPERM', 'chmod', name);
    });
  }
  attempt('mtime', () => posix.setMtime(at, name, wanted.mtimeSec, wanted.mtimeNsec));
  return problems;
}

/** True when `action` did not fail; a failure is noted. */
type Attempt = (what: AttributeProblem['what'], action: () => void, detail?: string) => boolean;

/** True when owner and group are as wanted. */
function applyOwner(posix: Posix, at: number, name: string, { uid, gid }: Attributes, attempt: Attempt): boolean {
  return attempt('owner', () => {
    const stat = look(posix, at, name);
    if (stat.uid === uid && stat.gid === gid) return;
    try {
      posix.chown(at, name, uid, gid);
    } catch (error) {
      // Not root: the group may still be one of our own.
      if (stat.gid !== gid) attemptGroup(posix, at, name, gid);
      if (stat.uid !== uid || look(posix, at, name).gid !== gid) throw error;
    }
  });
}

function look(posix: Posix, at: number, name: string): FileStat {
  const stat = new FileStat();
  posix.lstat(at, name, stat);
  return stat;
}

function attemptGroup(posix: Posix, at: number, name: string, gid: number): void {
  try {
    posix.chown(at, name, KEEP, gid);
  } catch (error) {
    if (!isPosixError(error)) throw error;
  }
}

/** True unless an access ACL was wanted and could not be set. */
function applyXattrs(posix: Posix, at: number, name: string, { xattrs }: Attributes, attempt: Attempt): boolean {
  attempt('xattr', () => {
    for (const attribute of posix.listXattrs(at, name))
      if (isReplaced(attribute) && !xattrs.some((xattr) => xattr.name === attribute)) posix.removeXattr(at, name, attribute);
  });
  // ACLs last: they set the mode, and a mode without "w" for the owner shuts him out from setting `user.*`.
  let acl = true;
  for (const isAcl of [false, true])
    for (const xattr of xattrs)
      if (
        xattr.name.startsWith(ACLS) === isAcl &&
        !attempt('xattr', () => posix.setXattr(at, name, xattr.name, xattr.value), xattr.name)
      )
        acl &&= xattr.name !== ACCESS_ACL;
  return acl;
}

/** Attributes that belong to the entry, not to the system that it lies on. */
export function isReplaced(attribute: string): boolean {
  return attribute.startsWith('user.') || attribute.startsWith(ACLS) || attribute === 'security.capability';
}

/** With an ACL, the group bits of a mode are its mask. Without it they must be what the ACL allowed the group itself, or others' rights
 *  would become the group's. The value is u32 2, then entries of u16 tag, u16 permissions, u32 id. */
function modeWithoutAcl({ mode, xattrs }: Attributes): number {
  const value = xattrs.find((xattr) => xattr.name === ACCESS_ACL)?.value;
  if (value === undefined) return mode;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  for (let entry = 4; entry + 8 <= value.length; entry += 8)
    if (view.getUint16(entry, true) === 0x04) return (mode & ~0o070) | (mode & ((view.getUint16(entry + 2, true) & 7) << 3));
  return mode & ~0o070;
}
