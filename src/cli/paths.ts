// Paths in what programs read: text where they are text, and the bytes beside it where they are not.

import { isUtf8 } from 'node:buffer';
import { displayPath } from '../model/entry-path.ts';

/** Of a latin1 path: `path`, and `pathBase64` when the bytes are not UTF-8 (`path` is then escaped, for people). */
export function pathFields(path: string): { readonly path: string; readonly pathBase64?: string } {
  const bytes = Buffer.from(path, 'latin1');
  return isUtf8(bytes) ? { path: bytes.toString('utf8') } : { path: displayPath(path), pathBase64: bytes.toString('base64') };
}

/** As text where it is text. */
export function pathText(path: string): string {
  return pathFields(path).path;
}
