// From samples to tables: medians of the quiet runs (of the least disturbed, where none was quiet), and how many times faster (smaller) ours is than each peer.

import { readFileSync, writeFileSync } from 'node:fs';
import { MIB } from '../src/base/units.ts';
import type { Extent, SetName } from './data/sets.ts';
import { OPERATIONS, type Operation, type Sample } from './rounds.ts';

export const OURS = 'holdfast';
const BEGIN = '<!-- results:begin -->';
const END = '<!-- results:end -->';

export type Median = {
  readonly set: SetName;
  readonly contender: string;
  readonly operation: Operation;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly storedBytes: number;
  /** Quiet runs; 0 when there were none and the least disturbed had to do. */
  readonly n: number;
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function medians(samples: readonly Sample[]): Median[] {
  const groups = Map.groupBy(samples, (s) => `${s.set}\n${s.operation}\n${s.contender}`);
  return [...groups.values()].map((group) => {
    const quiet = group.filter((s) => !s.isNoisy);
    const used = quiet.length > 0 ? quiet : [group.reduce((best, s) => (s.foreignShare < best.foreignShare ? s : best))];
    const { set, contender, operation } = group[0]!;
    return {
      set,
      contender,
      operation,
      wallSeconds: median(used.map((s) => s.wallSeconds)),
      cpuSeconds: median(used.map((s) => s.userSeconds + s.systemSeconds)),
      peakBytes: median(used.map((s) => s.peakBytes)),
      storedBytes: median(used.map((s) => s.storedBytes)),
      n: quiet.length,
    };
  });
}

const NAMES: Record<Operation, string> = {
  first: 'first backup',
  unchanged: 'nothing changed',
  changed: 'second state',
  restore: 'restore',
  verify: 'verify, all data',
  prune: 'prune to the newest',
};

type Column = { readonly title: string; readonly cell: (operation: Operation) => string };

function table(
  rows: readonly { readonly title: string; readonly cells: readonly string[] }[],
  titles: readonly string[],
): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(['', ...titles]),
    line(['---', ...titles.map(() => '---:')]),
    ...rows.map((row) => line([row.title, ...row.cells])),
    '',
  ];
}

const rateOperations: readonly Operation[] = ['first', 'restore', 'verify'];
const fixed = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const mebibytes = (bytes: number) => fixed(bytes / MIB);

class SetReport {
  readonly #all: readonly Median[];
  readonly #contenders: readonly string[];
  readonly #peers: readonly string[];
  readonly #extent: Extent;
  readonly #name: SetName;

  constructor(name: SetName, extent: Extent, all: readonly Median[], peers: readonly string[]) {
    this.#name = name;
    this.#extent = extent;
    this.#all = all.filter((m) => m.set === name);
    this.#contenders = [...new Set(this.#all.map((m) => m.contender))].sort((a, b) => this.#rank(a, peers) - this.#rank(b, peers));
    this.#peers = this.#contenders.includes(OURS) ? peers.filter((peer) => this.#contenders.includes(peer)) : [];
  }

  #rank(name: string, peers: readonly string[]): number {
    return name === OURS ? -1 : peers.includes(name) ? peers.indexOf(name) : 100;
  }

  #of(contender: string, operation: Operation): Median | undefined {
    return this.#all.find((m) => m.contender === contender && m.operation === operation);
  }

  /** Peer divided by ours. */
  #ratio(peer: string, operation: Operation, value: (m: Median) => number): string {
    const [theirs, ours] = [this.#of(peer, operation), this.#of(OURS, operation)];
    return theirs === undefined || ours === undefined || value(ours) === 0 ? '' : `${(value(theirs) / value(ours)).toFixed(1)}x`;
  }

  #time(m: Median, operation: Operation): string {
    const rate = rateOperations.includes(operation) ? ` (${Math.round(this.#extent.bytes / MIB / m.wallSeconds)})` : '';
    return `${fixed(m.wallSeconds)}${rate}${m.n === 0 ? ' ~' : ''}`;
  }

  #columns(cell: (m: Median, operation: Operation) => string, value: (m: Median) => number): Column[] {
    return [
      ...this.#contenders.map((name) => ({
        title: name,
        cell: (operation: Operation) => {
          const m = this.#of(name, operation);
          return m === undefined ? '' : cell(m, operation);
        },
      })),
      ...this.#peers.map((peer) => ({
        title: `${peer} / ours`,
        cell: (operation: Operation) => this.#ratio(peer, operation, value),
      })),
    ];
  }

  #table(columns: readonly Column[]): string[] {
    const operations = OPERATIONS.filter((operation) => this.#all.some((m) => m.operation === operation));
    const rows = operations.map((operation) => ({
      title: NAMES[operation],
      cells: columns.map((column) => column.cell(operation)),
    }));
    return table(
      rows,
      columns.map((column) => column.title),
    );
  }

  #stored(): string[] {
    const programs = this.#contenders.filter((name) => this.#of(name, 'changed') !== undefined);
    const after = (name: string, operation: Operation) => this.#of(name, operation)?.storedBytes ?? 0;
    const figures = [
      { title: 'after the first backup', of: (name: string) => after(name, 'first') },
      { title: 'added by the second state', of: (name: string) => after(name, 'changed') - after(name, 'unchanged') },
      { title: 'after prune', of: (name: string) => after(name, 'prune') },
    ];
    const ratio = (peer: string, of: (name: string) => number) => (of(OURS) > 0 ? `${(of(peer) / of(OURS)).toFixed(1)}x` : '');
    return table(
      figures.map(({ title, of }) => ({
        title,
        cells: [...programs.map((name) => mebibytes(of(name))), ...this.#peers.map((peer) => ratio(peer, of))],
      })),
      [...programs, ...this.#peers.map((peer) => `${peer} / ours`)],
    );
  }

  lines(): string[] {
    const { files, bytes, allocatedBytes } = this.#extent;
    const runs = this.#all.map((m) => m.n);
    return [
      `### ${this.#name}: ${files.toLocaleString('en')} ${files === 1 ? 'file' : 'files'}, ${Math.round(bytes / MIB).toLocaleString('en')} MiB (${Math.round(allocatedBytes / MIB).toLocaleString('en')} on disk)`,
      '',
      `Wall seconds (MiB/s); quiet runs for each figure: ${Math.min(...runs)} to ${Math.max(...runs)}.`,
      '',
      ...this.#table(
        this.#columns(
          (m, operation) => this.#time(m, operation),
          (m) => m.wallSeconds,
        ),
      ),
      'CPU seconds, peak memory in MiB.',
      '',
      ...this.#table(
        this.#columns(
          (m) => `${fixed(m.cpuSeconds)}, ${Math.round(m.peakBytes / MIB)}`,
          (m) => m.cpuSeconds,
        ),
      ),
      'Stored MiB.',
      '',
      ...this.#stored(),
    ];
  }
}

/** Markdown for all sets. `peers` are the contenders that ours is compared with. */
export function report(
  samples: readonly Sample[],
  extents: ReadonlyMap<SetName, Extent>,
  peers: readonly string[],
  about: readonly string[],
): string {
  const all = medians(samples);
  const sets = [...extents].flatMap(([name, extent]) =>
    all.some((m) => m.set === name) ? new SetReport(name, extent, all, peers).lines() : [],
  );
  return [...about.map((line) => `- ${line}`), '', ...sets].join('\n');
}

/** Puts the text between the markers of a Markdown file. */
export function writeBetweenMarkers(path: string, text: string): void {
  const old = readFileSync(path, 'utf8');
  const [begin, end] = [old.indexOf(BEGIN), old.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${path} has no "${BEGIN}" ... "${END}"`);
  writeFileSync(path, `${old.slice(0, begin + BEGIN.length)}\n\n${text}\n${old.slice(end)}`);
}
