// What people vouch for in a level of recovery: a file of lines, "REQUIREMENT PERSON UNTIL", beside what a drill measures by itself.

import { readFileSync } from 'node:fs';
import type { Given } from '../../agents/drill/drill-options.ts';
import { LEVEL_EDITIONS } from '../evidence/gbt-20988.ts';
import { usage } from './option.ts';

export function attestationsOf(file: string | undefined): Given[] {
  if (file === undefined) return [];
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw usage(`The file ${file} cannot be read: ${(error as Error).message}`);
  }
  const known = new Set(LEVEL_EDITIONS.flatMap(({ requirements }) => requirements.map(({ id }) => id)));
  return text.split('\n').flatMap((line, n): Given[] => {
    const words = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (words[0] === '') return [];
    const [requirement, by, validUntil] = words;
    if (words.length !== 3 || !known.has(requirement!) || Number.isNaN(Date.parse(validUntil!)))
      throw usage(`${file}, line ${n + 1}: "${line}" is not REQUIREMENT PERSON UNTIL`, `Requirements: ${[...known].join(', ')}.`);
    const value = { requirement: requirement!, by: by!, validUntil: new Date(validUntil!).toISOString() };
    return [{ kind: 'attestation', of: requirement!, how: `a line of the file of attestations`, value }];
  });
}
