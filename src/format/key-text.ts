// A key on paper, for the safe: text that a person can print and, if need be, type again. Between two marker lines stand numbered lines
// of base32 in groups, each with a checksum of its own, so that a mistake is found on its line:
//
//   -----BEGIN HOLDFAST KEY-----
//   01 ABCD-EFGH-... 3f9a
//
// The bytes are a key payload in clear (KEY), or a whole key object sealed under a passphrase of its own (SEALED KEY). A checksum is the
// first two bytes of the SHA-256 of "<number> <base32 without dashes>". What stands outside of the markers does not count.

import { createHash } from 'node:crypto';
import { Fault } from '../base/faults.ts';

export type KeyText = { readonly kind: 'KEY' | 'SEALED KEY'; readonly bytes: Uint8Array };

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const LINE_BYTES = 30;
const GROUP_CHARS = 4;
const TEXT_CHARS_MAX = 64 * 1024;
const LINE_CHARS_MAX = 200;

export function encodeKeyText({ kind, bytes }: KeyText): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const number = String(lines.length + 1).padStart(2, '0');
    const body = encodeBase32(bytes.subarray(at, at + LINE_BYTES));
    const groups = body.match(new RegExp(`.{1,${GROUP_CHARS}}`, 'g')) ?? [];
    lines.push(`${number} ${groups.join('-')} ${checksum(number, body)}`);
  }
  return [`-----BEGIN HOLDFAST ${kind}-----`, ...lines, `-----END HOLDFAST ${kind}-----`, ''].join('\n');
}

/** KEY_TEXT_DAMAGED, which names the line. */
export function decodeKeyText(text: string): KeyText {
  const match =
    text.length > TEXT_CHARS_MAX
      ? null
      : /-----BEGIN HOLDFAST (KEY|SEALED KEY)-----[ \t]*\r?\n([\s\S]*?)-----END HOLDFAST \1-----/.exec(text);
  if (match === null) throw damaged('it has no lines between "BEGIN HOLDFAST KEY" and "END HOLDFAST KEY"');
  const pieces: Uint8Array[] = [];
  for (const line of match[2]!.split('\n').map((one) => one.trim())) {
    if (line === '') continue;
    if (line.length > LINE_CHARS_MAX) throw damaged('a line is too long');
    const number = String(pieces.length + 1).padStart(2, '0');
    // 0, 1 and 8 are not in the alphabet: people write them for O, I and B.
    const [, given, groups, sum] = /^(\d{2,3})\s+([A-Za-z0-9\-\s]+?)\s+([0-9a-fA-F]{4})$/.exec(line) ?? [];
    if (given !== number) throw damaged(`line ${number} is missing or is not a line of a key`);
    const body = groups!.toUpperCase().replace(/[-\s]/g, '').replace(/0/g, 'O').replace(/1/g, 'I').replace(/8/g, 'B');
    if (checksum(number, body) !== sum!.toLowerCase()) throw damaged(`line ${number} has a mistake`);
    pieces.push(decodeBase32(body));
  }
  return { kind: match[1] as KeyText['kind'], bytes: Buffer.concat(pieces) };
}

function checksum(number: string, body: string): string {
  return createHash('sha256').update(`${number} ${body}`).digest('hex').slice(0, 4);
}

function damaged(why: string): Fault {
  return new Fault('KEY_TEXT_DAMAGED', `The text of the key cannot be read: ${why}`);
}

function encodeBase32(bytes: Uint8Array): string {
  let text = '';
  let value = 0;
  let bits = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31];
    value &= 0xff;
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

function decodeBase32(text: string): Uint8Array {
  const bytes: number[] = [];
  let value = 0;
  let bits = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit === -1) throw damaged(`"${character}" does not occur in one`);
    value = (value << 5) | digit;
    bits += 5;
    if (bits >= 8) bytes.push((value >>> (bits -= 8)) & 0xff);
    value &= 0xfff;
  }
  return Uint8Array.from(bytes);
}
