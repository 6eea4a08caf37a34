import { describe, expect, it } from 'vitest';
import { isFault } from '../../src/base/faults.ts';
import { decodeKeyText, encodeKeyText } from '../../src/format/key-text.ts';
import { seededBytes, seededRandom } from '../support/seeded-random.ts';

const fault = (text: string): string => {
  try {
    decodeKeyText(text);
    return 'none';
  } catch (error) {
    return isFault(error, 'KEY_TEXT_DAMAGED') ? error.message : String(error);
  }
};

describe('the text of a key', () => {
  it.each([0, 1, 29, 30, 31, 59, 60, 61, 700])('gives %i bytes back', (length) => {
    const bytes = seededBytes(length, length + 1);
    const text = encodeKeyText({ kind: length % 2 === 0 ? 'KEY' : 'SEALED KEY', bytes });
    const decoded = decodeKeyText(text);
    expect(Buffer.from(decoded.bytes).equals(Buffer.from(bytes))).toBe(true);
    expect(decoded.kind).toBe(length % 2 === 0 ? 'KEY' : 'SEALED KEY');
  });

  it('is found among other lines, however it was typed', () => {
    const bytes = seededBytes(100, 1);
    const text = encodeKeyText({ kind: 'KEY', bytes });
    const groupsApart = text.replace(/^\d\d .*$/gm, (line) => line.replaceAll('-', ' ').toLowerCase());
    const typed = `Dear reader,\r\n\n${groupsApart.replaceAll('\n', '  \r\n')}\nregards`;
    expect(Buffer.from(decodeKeyText(typed).bytes).equals(Buffer.from(bytes))).toBe(true);
    expect(
      Buffer.from(decodeKeyText(text.replace(/^\d\d .*$/gm, (line) => line.replaceAll('O', '0'))).bytes).equals(Buffer.from(bytes)),
    ).toBe(true);
  });

  it('tells on which line a mistake is', () => {
    const text = encodeKeyText({ kind: 'KEY', bytes: seededBytes(100, 1) });
    const lines = text.split('\n');
    expect(
      fault(
        text.replace(
          lines[2]!,
          lines[2]!.replace(/[A-Z]/, (c) => (c === 'A' ? 'B' : 'A')),
        ),
      ),
    ).toContain('line 02 has a mistake');
    expect(fault(text.replace(`${lines[2]}\n`, ''))).toContain('line 02 is missing');
    expect(fault(text.replace(`${lines[1]}\n${lines[2]}`, `${lines[2]}\n${lines[1]}`))).toContain('line 01 is missing');
    expect(fault(text.replace(lines[3]!, lines[3]!.slice(0, -1)))).toContain('line 03');
    expect(fault(text.replace(/-----END.*/, ''))).toContain('no lines between');
    expect(fault('')).toContain('no lines between');
    expect(fault(`${text}${'x'.repeat(70_000)}`)).toContain('no lines between');
  });

  it('finds every exchange of two neighbours and every wrong letter', () => {
    const text = encodeKeyText({ kind: 'KEY', bytes: seededBytes(60, 3) });
    const random = seededRandom(5);
    let changed = 0;
    for (let n = 0; n < 500; n++) {
      const at = text.indexOf('\n') + 4 + Math.floor(random() * 60);
      const letter = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Math.floor(random() * 32)]!;
      const wrong =
        n % 2 === 0
          ? text.slice(0, at) + text[at + 1] + text[at] + text.slice(at + 2)
          : text.slice(0, at) + letter + text.slice(at + 1);
      if (wrong.replace(/-/g, '') === text.replace(/-/g, '')) continue;
      changed++;
      expect(fault(wrong), wrong).toContain('line 01');
    }
    expect(changed).toBeGreaterThan(300);
  });
});
