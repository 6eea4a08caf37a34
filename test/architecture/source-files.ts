// The project's own source as a graph of imports, found by reading it.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

export type SourceFile = {
  /** From the checkout, e.g. "src/base/faults.ts". */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  /** Every module that the file names, as it is written there: static, dynamic, type-only, and scripts of worker threads. */
  readonly specifiers: readonly string[];
  /** Those that are files of the project, from the checkout. */
  readonly imports: readonly string[];
};

// `from '...'`, `import '...'`, `import('...')`, `new URL('./...', import.meta.url)`.
const SPECIFIER = /(?:\bfrom\s+|\bimport\s+|\bimport\s*\(\s*)'([^'\n]+)'|\bnew URL\(\s*'(\.[^'\n]+\.ts)'/g;

export function readSourceFiles(...directories: readonly string[]): readonly SourceFile[] {
  return directories
    .flatMap((directory) =>
      readdirSync(join(CHECKOUT, directory), { recursive: true, encoding: 'utf8' }).map((name) => `${directory}/${name}`),
    )
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map(readSourceFile);
}

function readSourceFile(path: string): SourceFile {
  const text = readFileSync(join(CHECKOUT, path), 'utf8');
  const specifiers = [...withoutComments(text).matchAll(SPECIFIER)].map((match) => (match[1] ?? match[2])!);
  const imports = specifiers
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => relative(CHECKOUT, resolve(CHECKOUT, dirname(path), specifier)));
  return { path, text, lines: text.split('\n').length - 1, specifiers, imports };
}

/** Whole-line comments only: a string may hold "//". */
export function withoutComments(text: string): string {
  return text.replace(/^\s*(?:\/\/|\/?\*).*$/gm, '');
}
