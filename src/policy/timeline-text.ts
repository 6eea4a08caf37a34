// A simulation as lines of text: one lane for each kind of work, one for what is kept and one for what was forgotten.

import type { Simulation } from './simulate.ts';
import { countsOf, lanesOf } from './timeline-lanes.ts';

const BARS = ' ▁▂▃▄▅▆▇█';

/** `width`: cells of the time axis, from 10 on. */
export function timelineText(simulation: Simulation, width: number): readonly string[] {
  const lanes = lanesOf(simulation).filter(({ moments }) => moments.length > 0);
  const margin = Math.max(...lanes.map(({ name }) => name.length), 4) + 2;
  return [
    axisLine(simulation, margin, width),
    ...lanes.map((lane) => {
      const counts = countsOf(lane, simulation, width);
      const most = Math.max(...counts, 1);
      const bars = counts.map((count) => BARS[count === 0 ? 0 : Math.max(1, Math.ceil((count / most) * (BARS.length - 1)))]);
      return `${lane.name.padEnd(margin)}${bars.join('')}  ${lane.moments.length}${lane.isCut ? '+' : ''}`;
    }),
  ];
}

/** The dates of the beginning, the middle and the end. */
function axisLine({ from, to }: Simulation, margin: number, width: number): string {
  const middle = new Date((from.getTime() + to.getTime()) / 2);
  const [left, center, right] = [from, middle, to].map((at) => at.toISOString().slice(0, 10)) as [string, string, string];
  const gap = Math.max(1, Math.floor((width - left.length - center.length - right.length) / 2));
  const isRoomy = width >= left.length + center.length + right.length + 2;
  const text = isRoomy ? `${left}${' '.repeat(gap)}${center}` : left;
  return `${' '.repeat(margin)}${text}${' '.repeat(Math.max(1, width - text.length - right.length))}${right}`;
}
