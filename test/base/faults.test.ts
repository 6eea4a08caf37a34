// The table of faults against the code that throws them, the documents that explain them, and the exit statuses that scripts rely on.

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT, FAULTS, Fault, type FaultCode, isFault } from '../../src/base/faults.ts';
import { faultsDocument } from '../../src/base/faults-document.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const CODES = Object.keys(FAULTS) as FaultCode[];
/** A code is the name of a chapter and more; names of errno values have no underscore. */
const CODE = /'((?:STORE|FORMAT|INDEX|SESSION|SNAPSHOT|HEAD|REPOSITORY|SOURCE|RETENTION|KEY|TARGET|EXPORT)_[A-Z][A-Z_]*[A-Z])'/g;

function sources(): { readonly path: string; readonly text: string }[] {
  return ['src', 'agents'].flatMap((top) =>
    (readdirSync(join(CHECKOUT, top), { recursive: true }) as string[])
      .filter((path) => path.endsWith('.ts'))
      .map((path) => ({ path: join(top, path), text: readFileSync(join(CHECKOUT, top, path), 'utf8') })),
  );
}

describe('the table of faults', () => {
  it('has every code that the source throws or asks for', () => {
    const strangers = sources().flatMap(({ path, text }) =>
      [...text.matchAll(CODE)].filter(([, code]) => !(code! in FAULTS)).map(([, code]) => `${path}: ${code}`),
    );
    expect(strangers).toEqual([]);
  });

  it('has no code that nothing throws', () => {
    const thrown = sources()
      .filter(({ path }) => path !== 'src/base/faults.ts' && path !== 'src/base/faults-document.ts')
      .map(({ text }) => text)
      .join('\n');
    expect(CODES.filter((code) => !thrown.includes(`'${code}'`))).toEqual([]);
  });

  it('is what ops/runbooks/faults.md says (ops/write-runbooks makes it anew)', () => {
    expect(readFileSync(join(CHECKOUT, 'ops/runbooks/faults.md'), 'utf8')).toBe(faultsDocument());
  });

  it('puts every code into a chapter of the document', () => {
    const document = faultsDocument();
    for (const code of CODES) expect(document.split(`\`${code}\``)).toHaveLength(2);
    expect(document).not.toContain('## Others');
  });

  it('gives each an exit status that is documented and a hint that is a sentence', () => {
    const statuses: readonly number[] = Object.values(EXIT);
    for (const code of CODES) {
      const { exit, hint } = FAULTS[code];
      expect(statuses, code).toContain(exit);
      expect(hint, code).toMatch(/^[A-Z"].*[.]$/);
    }
  });

  it('names in its hints only verbs that exist', async () => {
    const { VERBS } = await import('../../src/cli/verbs.ts');
    const names = VERBS.map(({ name }) => name);
    for (const code of CODES) {
      for (const [, words] of FAULTS[code].hint.matchAll(/"holdfast ([a-z ]+?)(?: [A-Z-][^"]*)?"/g)) {
        expect(
          names.some((name) => name === words || words!.startsWith(`${name} `)),
          `${code}: holdfast ${words}`,
        ).toBe(true);
      }
      for (const [, option] of FAULTS[code].hint.matchAll(/--([a-z-]+)/g)) {
        const known = VERBS.some(({ options }) => options.some(({ name }) => name === option));
        expect(known, `${code}: --${option}`).toBe(true);
      }
    }
  });
});

describe('a fault', () => {
  it('carries the hint, the verdict and the status of its code', () => {
    const fault = new Fault('STORE_TIMEOUT', 'no answer from "x"');
    expect(fault).toMatchObject({
      code: 'STORE_TIMEOUT',
      message: 'no answer from "x"',
      retry: 'later',
      exit: EXIT.failed,
      hint: FAULTS.STORE_TIMEOUT.hint,
    });
  });

  it('may have a hint of its own', () => {
    expect(new Fault('USAGE', 'wrong', { hint: 'Do otherwise.' }).hint).toBe('Do otherwise.');
  });

  it('is told apart by its code', () => {
    const fault = new Fault('KEY_NOT_FOUND', 'no key');
    expect([isFault(fault), isFault(fault, 'KEY_NOT_FOUND'), isFault(fault, 'USAGE'), isFault(new Error('x'))]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
