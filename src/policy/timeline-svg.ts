// A simulation as an SVG picture. Stands alone: no script, no style sheet, no font from elsewhere; every text is escaped.

import { roughSpan } from './duration.ts';
import type { Simulation } from './simulate.ts';
import { countsOf, type Lane, lanesOf } from './timeline-lanes.ts';

const WIDTH = 960;
const LEFT = 130;
const RIGHT = 70;
const TOP = 64;
const LANE_HEIGHT = 34;
const BAR_HEIGHT = 24;
/** One bar for each two pixels, however many runs there are. */
const CELLS = (WIDTH - LEFT - RIGHT) / 2;
const TICKS = 6;

const COLOURS: Readonly<Record<Lane['kind'], string>> = { run: '#3566b8', kept: '#1d8a4e', forgotten: '#b0b0b0' };

export function timelineSvg(simulation: Simulation, title: string): string {
  const lanes = lanesOf(simulation);
  const height = TOP + lanes.length * LANE_HEIGHT + 24;
  const { from, to, reachMs, promisedWindowMs } = simulation;
  const window = promisedWindowMs === undefined ? '' : `, ${roughSpan(promisedWindowMs)} promised`;
  const subtitle = `${day(from)} to ${day(to)}; one can return ${roughSpan(reachMs)} back${window}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title><desc>${escaped(subtitle)}</desc>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(12, 22, title, 'font-size="16" font-weight="600"'),
    text(12, 40, subtitle, 'fill="#555555"'),
    ...axis(simulation, height),
    ...windowBand(simulation, height),
    ...lanes.flatMap((lane, i) => laneOf(lane, simulation, TOP + i * LANE_HEIGHT)),
    '</svg>',
    '',
  ].join('\n');
}

function axis({ from, to }: Simulation, height: number): string[] {
  return Array.from({ length: TICKS + 1 }, (_, i) => {
    const at = new Date(from.getTime() + ((to.getTime() - from.getTime()) * i) / TICKS);
    const x = LEFT + ((WIDTH - LEFT - RIGHT) * i) / TICKS;
    const line = `<line x1="${round(x)}" y1="${TOP - 4}" x2="${round(x)}" y2="${height - 22}" stroke="#e4e4e4"/>`;
    return line + text(x, height - 8, day(at), 'text-anchor="middle" fill="#555555"');
  });
}

/** The span that is promised, up to the end. */
function windowBand({ from, to, promisedWindowMs }: Simulation, height: number): string[] {
  if (promisedWindowMs === undefined) return [];
  const share = Math.min(1, promisedWindowMs / (to.getTime() - from.getTime()));
  const width = (WIDTH - LEFT - RIGHT) * share;
  return [
    `<rect x="${round(WIDTH - RIGHT - width)}" y="${TOP - 4}" width="${round(width)}" height="${height - TOP - 18}" fill="#1d8a4e" fill-opacity="0.08"><title>the promised recovery window</title></rect>`,
  ];
}

function laneOf(lane: Lane, simulation: Simulation, y: number): string[] {
  const counts = countsOf(lane, simulation, CELLS);
  const most = Math.max(...counts, 1);
  const bars = counts.flatMap((count, cell) => {
    if (count === 0) return [];
    const height = Math.max(6, (count / most) * BAR_HEIGHT);
    return [`M${LEFT + cell * 2} ${round(y + BAR_HEIGHT - height)}h1.5v${round(height)}h-1.5z`];
  });
  return [
    text(LEFT - 10, y + BAR_HEIGHT - 7, lane.name, 'text-anchor="end"'),
    `<line x1="${LEFT}" y1="${y + BAR_HEIGHT + 0.5}" x2="${WIDTH - RIGHT}" y2="${y + BAR_HEIGHT + 0.5}" stroke="#cccccc"/>`,
    ...(bars.length === 0 ? [] : [`<path d="${bars.join('')}" fill="${COLOURS[lane.kind]}"/>`]),
    text(WIDTH - RIGHT + 8, y + BAR_HEIGHT - 7, `${lane.moments.length}${lane.isCut ? '+' : ''}`, 'fill="#555555"'),
  ];
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped(content)}</text>`;
}

function day(at: Date): string {
  return at.toISOString().slice(0, 10);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(content: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  // What no XML may hold is dropped.
  return content.replace(/[&<>"']/g, (character) => entities[character]!).replace(/\p{C}/gu, '');
}
