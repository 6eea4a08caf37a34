// Arguments are bytes; Node makes UTF-8 text of them and loses what is not. Where that happened they are read again from the kernel, and
// bytes that are not UTF-8 become lone surrogates (U+DC80 to U+DCFF), which no UTF-8 text holds: so an argument can be a path of any bytes.

import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { pathFromText } from '../model/entry-path.ts';

const REPLACEMENT = '\ufffd';
const ESCAPE = 0xdc00;

/** `argv` with nothing lost, where that can be known. */
export function decodeArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((argument) => argument.includes(REPLACEMENT))) return argv;
  try {
    const all = splitAtZeros(readFileSync('/proc/self/cmdline'));
    return all.slice(all.length - argv.length).map((bytes, i) => (isUtf8(bytes) ? argv[i]! : decodeBytes(bytes)));
  } catch {
    return argv;
  }
}

/** The bytes of a path that was typed, latin1. */
export function pathOfArgument(argument: string): string {
  let path = '';
  // Lone surrogates in the range are bytes; everything between them is text.
  for (const part of argument.split(/([\udc80-\udcff](?<![\ud800-\udbff].))/)) {
    const code = part.length === 1 ? part.charCodeAt(0) : 0;
    path += code > ESCAPE && code <= 0xdcff ? String.fromCharCode(code - ESCAPE) : pathFromText(part);
  }
  return path;
}

function decodeBytes(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    let length = sequenceLength(bytes[at]!);
    if (at + length > bytes.length || !isUtf8(bytes.subarray(at, at + length))) length = 0;
    text += length === 0 ? String.fromCharCode(ESCAPE + bytes[at]!) : Buffer.from(bytes.subarray(at, at + length)).toString('utf8');
    at += Math.max(1, length);
  }
  return text;
}

function sequenceLength(first: number): number {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

function splitAtZeros(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    parts.push(bytes.subarray(at, end === -1 ? bytes.length : end));
    at = end === -1 ? bytes.length : end + 1;
  }
  return parts;
}
