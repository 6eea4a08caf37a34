// Where a repository lies, as a person writes it: a directory, or s3+http(s)://host[:port]/bucket[/prefix].
// Credentials have no place in it: locations are printed, logged and seen in process lists.

import { resolve } from 'node:path';
import { Fault } from '../base/faults.ts';

export type StoreLocation =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 's3'; readonly endpoint: string; readonly bucket: string; readonly prefix: string };

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/i;
const PREFIX_SEGMENT = /^[A-Za-z0-9._-]+$/;
const PREFIX_BYTES_MAX = 512;

function bad(text: string, why: string): Fault {
  return new Fault('STORE_BAD_LOCATION', `${JSON.stringify(text)} is not a location of a store: ${why}`);
}

/** Throws STORE_BAD_LOCATION. */
export function parseLocation(text: string): StoreLocation {
  if (text === '') throw bad(text, 'it is empty');
  if (text.includes('\0')) throw bad(text, 'it holds a zero byte');
  // What Node makes of bytes that are no UTF-8: another directory than was named, and the same one for every such name.
  if (text.includes('\ufffd')) throw bad(text, 'its name is not UTF-8; lead to it by a link with a name that is');
  const scheme = SCHEME.exec(text)?.[0].toLowerCase();
  if (scheme === undefined) {
    if (/^s3(\+https?)?:/i.test(text)) throw bad(text, 'write s3+https://host/bucket');
    return { kind: 'directory', path: text };
  }
  if (scheme !== 's3+http://' && scheme !== 's3+https://') throw bad(text, `the scheme ${scheme} is not known`);
  return parseS3(text, scheme === 's3+https://');
}

function parseS3(text: string, secure: boolean): StoreLocation {
  // The message must not repeat a secret that somebody put in.
  if (/^[^/]*\/\/[^/]*@/.test(text)) throw bad('s3+http(s)://...@...', 'credentials do not belong there');
  if (/[?#]/.test(text)) throw bad(text, 'it has a "?" or "#"');
  const rest = text.slice(text.indexOf('//') + 2);
  const [host, bucket, ...path] = rest.split('/');
  const scheme = secure ? 'https' : 'http';
  const url = URL.canParse(`${scheme}://${host}/`) ? new URL(`${scheme}://${host}/`) : undefined;
  if (url === undefined || host === '' || url.pathname !== '/') throw bad(text, 'the host is missing or wrong');
  if (bucket === undefined || !BUCKET.test(bucket)) throw bad(text, 'the bucket is missing or wrong');
  if (path.at(-1) === '') path.pop();
  const prefix = path.join('/');
  if (prefix.length > PREFIX_BYTES_MAX || !path.every((part) => PREFIX_SEGMENT.test(part) && part !== '.' && part !== '..')) {
    throw bad(text, 'the prefix after the bucket may hold letters, digits, ".", "_" and "-" between single slashes');
  }
  return { kind: 's3', endpoint: url.origin, bucket, prefix };
}

/** The inverse of parseLocation, normalised. */
export function formatLocation(location: StoreLocation): string {
  if (location.kind === 'directory') return location.path;
  return `s3+${location.endpoint}/${location.bucket}${location.prefix === '' ? '' : `/${location.prefix}`}`;
}

/** For who remembers it: the same place wherever the program is started next. STORE_BAD_LOCATION. */
export function absoluteLocation(text: string): string {
  const location = parseLocation(text);
  return location.kind === 'directory' ? resolve(location.path) : text;
}
