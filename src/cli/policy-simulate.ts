// What a policy runs and keeps over a span of time: a table, a picture in text, and if asked for an SVG file.

import { writeFileSync } from 'node:fs';
import { formatSpan, parseDuration, roughSpan } from '../policy/duration.ts';
import { effectivePolicy } from '../policy/effective-policy.ts';
import { type SimulatedTask, type Simulation, simulatePolicy } from '../policy/simulate.ts';
import { timelineSvg } from '../policy/timeline-svg.ts';
import { timelineText } from '../policy/timeline-text.ts';
import { usage } from './option.ts';
import type { Output } from './output.ts';
import { levelsOf, validDocument } from './policy-files.ts';
import { tableLines } from './table.ts';
import type { Invocation } from './verb.ts';

const SPAN = '90d';
const SPAN_MS_MAX = 50 * 366 * 86_400_000;
const PICTURE_CELLS = 72;
/** Kept points that are listed for people; --json tells all. */
const LISTED_MAX = 40;

export async function simulate({ args, options, output }: Invocation): Promise<number> {
  const file = args[0]!;
  const { policy, problems } = effectivePolicy(levelsOf(file, validDocument(file), options.texts('above')));
  for (const { message } of problems) output.warning(message, { file });
  const from = startOf(options.text('from'));
  const to = new Date(from.getTime() + spanOf(options.text('span') ?? SPAN));
  const simulation = simulatePolicy(policy, from, to, options.text('asset') ?? '');
  print(output, simulation);
  const svg = options.text('svg');
  if (svg !== undefined) writeSvg(svg, timelineSvg(simulation, `Policy ${policy.label ?? policy.name}`));
  const kept = simulation.points.filter(({ reasons }) => reasons.length > 0).length;
  output.summary('policy simulate', {
    policy: policy.name,
    from: from.toISOString(),
    to: to.toISOString(),
    backups: simulation.points.length,
    kept,
    reachSeconds: Math.floor(simulation.reachMs / 1000),
  });
  return 0;
}

function startOf(text: string | undefined): Date {
  if (text === undefined) return new Date();
  const isTime = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text);
  const at = new Date(text);
  if (!isTime || Number.isNaN(at.getTime()))
    throw usage(`--from must be a time such as 2026-11-21 or 2026-11-21T08:00Z; "${text}" is not`);
  return at;
}

function spanOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 60_000 || ms > SPAN_MS_MAX)
    throw usage(`--span must be a time from 1m to 50y, such as 36h or 90d; "${text}" is not`);
  return ms;
}

function writeSvg(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw usage(`The picture "${file}" cannot be written: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function print(output: Output, simulation: Simulation): void {
  const { tasks, points } = simulation;
  for (const task of tasks) output.record('task', { name: task.name, runs: task.runs.length, isCut: task.isCut, ...endsOf(task) });
  for (const { at, reasons } of points) output.record('point', { at: at.toISOString(), isKept: reasons.length > 0, reasons });
  const columns = [
    { title: 'what' },
    { title: 'runs', align: 'right' as const },
    { title: 'first' },
    { title: 'last' },
    { title: 'apart' },
  ];
  for (const line of tableLines(columns, tasks.map(rowOf))) output.line(line);
  output.line('');
  for (const line of timelineText(simulation, PICTURE_CELLS)) output.line(line);
  output.line('');
  printKept(output, simulation);
}

function endsOf({ runs }: SimulatedTask): Readonly<Record<string, string>> {
  return runs.length === 0 ? {} : { first: runs[0]!.due.toISOString(), last: runs.at(-1)!.due.toISOString() };
}

function rowOf(task: SimulatedTask): string[] {
  const { name, runs, isCut } = task;
  const gaps = runs.slice(1).map(({ due }, i) => due.getTime() - runs[i]!.due.getTime());
  // Not Math.min(...): there may be many.
  const [least, most] = gaps.reduce(([low, high], gap) => [Math.min(low, gap), Math.max(high, gap)], [Number.POSITIVE_INFINITY, 0]);
  const apart = gaps.length === 0 ? '' : least === most ? formatSpan(most) : `${formatSpan(least)} to ${formatSpan(most)}`;
  return [name, `${runs.length}${isCut ? '+' : ''}`, minuteText(runs[0]?.due), minuteText(runs.at(-1)?.due), apart];
}

function minuteText(at: Date | undefined): string {
  return at === undefined ? '' : `${at.toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

function printKept(output: Output, { points, to, reachMs, promisedWindowMs }: Simulation): void {
  const kept = points.filter(({ reasons }) => reasons.length > 0);
  const promised = promisedWindowMs === undefined ? '' : ` (${roughSpan(promisedWindowMs)} promised)`;
  output.line(
    `On ${minuteText(to)} ${kept.length} of ${points.length} snapshots are kept; one can return ${roughSpan(reachMs)} back${promised}.`,
  );
  const newest = kept.slice(-LISTED_MAX / 2);
  const oldest = kept.slice(0, Math.min(LISTED_MAX / 2, kept.length - newest.length));
  const hidden = kept.length - newest.length - oldest.length;
  for (const { at, reasons } of oldest) output.line(`  ${minuteText(at)}  ${reasons.join('; ')}`);
  if (hidden > 0) output.line(`  ... ${hidden} more; --json lists all`);
  for (const { at, reasons } of newest) output.line(`  ${minuteText(at)}  ${reasons.join('; ')}`);
}
