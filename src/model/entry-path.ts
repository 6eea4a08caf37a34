// Paths are bytes. In memory a path is a string with one char per byte ("latin1"): lossless for every name a file system can hold,
// compact, and comparable byte by byte. `Buffer.from(path, 'latin1')` gives the bytes back. Text (a command line, a message) crosses
// the border through `pathFromText` and `displayPath` only.

/** Bytes joined by "/", one char per byte, relative, without empty, "." or ".." components; '' is the root of a tree. */
export type EntryPath = string;

/** Longest path of an entry. Above the kernel's PATH_MAX on purpose: trees deeper than a single path can name are kept whole. */
export const ENTRY_PATH_BYTES_MAX = 16_384;
/** Longest single name, as in every file system of this world. */
export const ENTRY_NAME_BYTES_MAX = 255;

const SLASH = 47;

/** Canonical order of entries: depth first, a directory right before its content, siblings by the bytes of their names. On whole
 *  paths that is the order of bytes with "/" below every other byte. Answers < 0, 0 or > 0. The first `known` bytes are the same. */
export function comparePaths(a: EntryPath, b: EntryPath, known = 0): number {
  const common = Math.min(a.length, b.length);
  for (let i = known; i < common; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    if (x === SLASH) return -1;
    if (y === SLASH) return 1;
    return x - y;
  }
  return a.length - b.length;
}

/** Why `path` may not be used below a target, or undefined when it may. Paths out of a snapshot are never trusted. */
export function faultOfPath(path: EntryPath): string | undefined {
  if (path === '') return undefined;
  if (path.length > ENTRY_PATH_BYTES_MAX) return `it is longer than ${ENTRY_PATH_BYTES_MAX} bytes`;
  if (path.charCodeAt(0) === SLASH) return 'it is absolute';
  let start = 0;
  for (let i = 0; i <= path.length; i++) {
    const c = i === path.length ? SLASH : path.charCodeAt(i);
    if (c === 0) return 'it contains a zero byte';
    if (c > 255) return 'it is not a string of bytes';
    if (c !== SLASH) continue;
    const length = i - start;
    if (length === 0) return 'it has an empty component';
    if (length > ENTRY_NAME_BYTES_MAX) return `a component is longer than ${ENTRY_NAME_BYTES_MAX} bytes`;
    if (length <= 2 && path.charCodeAt(start) === 46 && (length === 1 || path.charCodeAt(start + 1) === 46))
      return `it has a "${path.slice(start, i)}" component`;
    start = i + 1;
  }
  return undefined;
}

/** 'a/b/c' -> 'a/b'; 'a' -> ''. */
export function parentOfPath(path: EntryPath): EntryPath {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

/** 'a/b/c' -> 'c'. */
export function nameOfPath(path: EntryPath): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** 'a', 'b' -> 'a/b'; '', 'b' -> 'b'; 'a', '' -> 'a'. */
export function joinPaths(a: string, b: string): string {
  if (a === '') return b;
  if (b === '') return a;
  return a.endsWith('/') ? a + b : `${a}/${b}`;
}

/** A path typed by a person (a JS string) as bytes: its UTF-8 encoding. */
export function pathFromText(text: string): string {
  return isPlain(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** For people: UTF-8 is shown as text; other bytes, control and invisible characters and "\" are escaped, so no two paths look alike
 *  to a program and none can drive a terminal. */
export function displayPath(path: string): string {
  return isPlain(path) && !path.includes('\\') ? path : path.replace(SEQUENCE, displaySequence);
}

// One well-formed UTF-8 sequence per alternative (no overlong forms, no surrogates), then any other byte.
const SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are bytes.
  /[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g;
const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

function displaySequence(bytes: string): string {
  const code = bytes.charCodeAt(0);
  if (bytes.length === 1) {
    if (code >= 32 && code < 127 && code !== 92) return bytes;
    return SHORT_ESCAPES[bytes] ?? `\\x${code.toString(16).padStart(2, '0')}`;
  }
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return /[\p{C}\p{Zl}\p{Zp}]/u.test(text) ? `\\u{${text.codePointAt(0)!.toString(16)}}` : text;
}

function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** True for `directory` itself and everything below it; '' holds everything. */
export function isWithinPath(path: EntryPath, directory: EntryPath): boolean {
  return directory === '' || path === directory || (path.startsWith(directory) && path.charCodeAt(directory.length) === SLASH);
}
