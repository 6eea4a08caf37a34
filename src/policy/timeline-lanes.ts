// A simulation as lanes of moments: what both pictures, of text and of SVG, are drawn from.

import type { Simulation } from './simulate.ts';

export type Lane = {
  readonly name: string;
  readonly kind: 'run' | 'kept' | 'forgotten';
  readonly moments: readonly Date[];
  readonly isCut: boolean;
};

export function lanesOf({ tasks, points }: Simulation): readonly Lane[] {
  const kept = points.filter(({ reasons }) => reasons.length > 0);
  const forgotten = points.filter(({ reasons }) => reasons.length === 0);
  const isCut = tasks.some(({ kind, isCut: cut }) => kind === 'backup' && cut);
  return [
    ...tasks.map(
      ({ name, runs, isCut: cut }): Lane => ({ name, kind: 'run', moments: runs.map(({ notBefore }) => notBefore), isCut: cut }),
    ),
    { name: 'kept', kind: 'kept', moments: kept.map(({ at }) => at), isCut },
    { name: 'forgotten', kind: 'forgotten', moments: forgotten.map(({ at }) => at), isCut },
  ];
}

/** How many moments lie in each of `cells` equal parts of the span. */
export function countsOf({ moments }: Lane, { from, to }: Simulation, cells: number): readonly number[] {
  const counts = new Array<number>(cells).fill(0);
  const span = to.getTime() - from.getTime();
  for (const at of moments) {
    const cell = Math.floor(((at.getTime() - from.getTime()) / span) * cells);
    // Jitter may carry the last runs over the end.
    if (cell >= 0 && cell < cells) counts[cell]!++;
  }
  return counts;
}
