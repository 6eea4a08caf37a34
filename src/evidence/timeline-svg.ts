// The timeline of a run as a picture: a bar for each state, and the moments that RPO and RTO are counted between.

import { formatSpan } from '../policy/duration.ts';
import type { Phase } from './claims.ts';
import { escapeHtml } from './escape-html.ts';

const WIDTH = 900;
const LEFT = 150;
const RIGHT = 90;
const ROW = 24;
const TOP = 46;

export type Moment = { readonly label: string; readonly at: string };

/** Empty when there is nothing to draw. */
export function timelineSvg(phases: readonly Phase[], moments: readonly Moment[], nameOf: (state: string) => string): string {
  const times = [...phases.flatMap(({ startedAt, endedAt }) => [startedAt, endedAt]), ...moments.map(({ at }) => at)].map(
    Date.parse,
  );
  if (phases.length === 0 || times.some(Number.isNaN)) return '';
  const first = Math.min(...times);
  const span = Math.max(1, Math.max(...times) - first);
  const x = (at: string): number => round(LEFT + ((Date.parse(at) - first) / span) * (WIDTH - LEFT - RIGHT));
  const height = TOP + phases.length * ROW + 10;
  // Two heights in turn, so that moments beside each other can be read.
  const marks = moments.map(
    ({ label, at }, n) =>
      `<line class="moment" x1="${x(at)}" x2="${x(at)}" y1="${n % 2 === 0 ? 18 : 34}" y2="${height - 6}"/><text x="${x(at)}" y="${n % 2 === 0 ? 14 : 30}" text-anchor="middle">${escapeHtml(label)}</text>`,
  );
  const bars = phases.map(({ state, startedAt, endedAt, ms }, n) => {
    const y = TOP + n * ROW;
    const width = Math.max(2, round(x(endedAt) - x(startedAt)));
    const length = ms < 1000 ? `${ms} ms` : formatSpan(ms);
    return `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escapeHtml(nameOf(state))}</text><rect class="phase" x="${x(startedAt)}" y="${y + 3}" width="${width}" height="${ROW - 8}"/><text x="${round(x(startedAt) + width + 5)}" y="${y + 15}">${length}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" xmlns="http://www.w3.org/2000/svg">${[...marks, ...bars].join('')}</svg>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
