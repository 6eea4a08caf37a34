// The level that was proven: of each element the highest of which every requirement is met, and of the whole the lowest of its elements.

import { ELEMENTS, type Element, type LevelEdition, type Requirement } from './gbt-20988.ts';
import type { Measurement, Scalar } from './measurement.ts';

export type LevelGap = {
  readonly element: Element;
  /** The level that it keeps the element from. */
  readonly level: number;
  readonly requirement: string;
  /** What was measured; absent when nothing was. */
  readonly found?: Scalar;
};

export type ProvenLevel = {
  readonly edition: string;
  /** 0: not even the first. */
  readonly level: number;
  readonly elements: Readonly<Record<Element, number>>;
  /** What keeps each element that is lowest from the next level. */
  readonly gaps: readonly LevelGap[];
  /** Ids of the measurements that it rests on. */
  readonly from: readonly string[];
};

/** `at`: when it is judged; a person's word that has expired does not count. */
export function provenLevel(edition: LevelEdition, measurements: readonly Measurement[], at: string): ProvenLevel {
  const requirements = new Map(edition.requirements.map((one) => [one.id, one]));
  const met = new Map(edition.requirements.map((one) => [one.id, evidenceOf(one, measurements, at)]));
  const elements = Object.fromEntries(
    ELEMENTS.map((element) => {
      const isMet = (ids: readonly string[]): boolean => ids.every((id) => met.get(id)?.isMet === true);
      return [element, edition.requires[element].reduce((highest, ids, n) => (isMet(ids) ? n + 1 : highest), 0)];
    }),
  ) as Record<Element, number>;
  const level = Math.min(...Object.values(elements));
  const lowest = ELEMENTS.filter((element) => elements[element] === level && level < edition.levels.length);
  const gaps = lowest.flatMap((element) =>
    edition.requires[element][level]!.flatMap((id): LevelGap[] => {
      const { isMet, found } = met.get(id)!;
      if (isMet) return [];
      return [{ element, level: level + 1, requirement: requirements.get(id)!.id, ...(found === undefined ? {} : { found }) }];
    }),
  );
  const from = new Set([...met.values()].flatMap(({ from: ids }) => ids));
  return { edition: edition.id, level, elements, gaps, from: measurements.flatMap(({ id }) => (from.has(id) ? [id] : [])) };
}

type Met = { readonly isMet: boolean; readonly found?: Scalar; readonly from: readonly string[] };

function evidenceOf({ id, test }: Requirement, measurements: readonly Measurement[], at: string): Met {
  if (test.kind === 'never') return { isMet: false, from: [] };
  if (test.kind === 'attested') {
    const words = measurements.filter(({ kind, value }) => kind === 'attestation' && value.requirement === id);
    const valid = words.filter(({ value }) => Date.parse(String(value.validUntil)) > Date.parse(at));
    return { isMet: valid.length > 0, from: valid.map((one) => one.id) };
  }
  // The last one that was measured; the worst of it where there are several assets is what whoever measures writes down.
  const fact = measurements.findLast(({ kind, value }) => kind === 'fact' && value.name === test.fact);
  const found = fact?.value.value;
  if (fact === undefined || found === undefined || found === null) return { isMet: false, from: [] };
  const { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY, isTrue } = test;
  const isMet = isTrue ? found === true : typeof found === 'number' && found <= atMost && found >= atLeast;
  return { isMet, found, from: [fact.id] };
}
