// The timeline of a run as a picture: a bar for each state, and the moments that RPO and RTO are counted between.

import { formatSpan } from '../policy/duration.ts';
import type { Phase } from './claims.ts';
import { escapeHtml } from './escape-html.ts';

const WIDTH = 900;
const LEFT = 150;
const RIGHT = 90;
const ROW = 24;
/** Of the label of a moment: each has a height of its own, since they may be of the same second. */
const LABEL = 16;

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
  const top = 10 + moments.length * LABEL;
  const height = top + phases.length * ROW + 10;
  const marks = moments.map(({ label, at }, n) => {
    const y = (n + 1) * LABEL;
    return `<line class="moment" x1="${x(at)}" x2="${x(at)}" y1="${y - 10}" y2="${height - 6}"/><text x="${x(at) - 4}" y="${y}" text-anchor="end">${escapeHtml(label)}</text>`;
  });
  const bars = phases.map(({ state, startedAt, endedAt, ms }, n) => {
    const y = top + n * ROW;
    const width = Math.max(2, round(x(endedAt) - x(startedAt)));
    const length = ms < 1000 ? `${ms} ms` : formatSpan(ms);
    return `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escapeHtml(nameOf(state))}</text><rect class="phase" x="${x(startedAt)}" y="${y + 3}" width="${width}" height="${ROW - 8}"/><text x="${round(x(startedAt) + width + 5)}" y="${y + 15}">${length}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" xmlns="http://www.w3.org/2000/svg">${[...marks, ...bars].join('')}</svg>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
