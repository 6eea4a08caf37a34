// What a directory tree consists of. Paths, link targets and attribute names are the file system's own bytes, held in "latin1"
// strings: one char is one byte, so names that are not UTF-8 survive.

export type EntryKind = 'directory' | 'file' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

export type FileEntry = {
  /** Relative to the root, '/' between segments; '' is the root itself. */
  readonly path: string;
  readonly kind: EntryKind;
  /** Permission bits with setuid, setgid and sticky (mode & 0o7777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Content length of a file; 0 for every other kind. */
  readonly sizeBytes: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
  readonly inode: number;
  readonly device: number;
  /** Number of hard links. */
  readonly links: number;
  /** Of devices; 0 otherwise. */
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  /** Of symlinks; '' otherwise. */
  readonly linkTarget: string;
};

/** Names and values of all extended attributes of an entry together; one with more is kept without any, and reported. */
export const XATTRS_BYTES_MAX = 512 * 1024;

/** Extended attributes (ACLs among them) in byte order of their names. */
export type Xattr = { readonly name: string; readonly value: Uint8Array };
