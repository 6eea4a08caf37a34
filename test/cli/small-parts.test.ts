import { describe, expect, it, onTestFinished } from 'vitest';
import { Fault } from '../../src/base/faults.ts';
import { editDistance, nearest } from '../../src/base/nearest.ts';
import { decodeArguments, pathOfArgument } from '../../src/cli/arguments.ts';
import type { Sink } from '../../src/cli/descriptor.ts';
import { parseSpan } from '../../src/cli/forget.ts';
import { modeText } from '../../src/cli/ls.ts';
import { localMicrosOf, momentOf } from '../../src/cli/moment.ts';
import { faultOfValue, parseBytes } from '../../src/cli/option.ts';
import { Output } from '../../src/cli/output.ts';
import { pathFields } from '../../src/cli/paths.ts';
import { lineOf, Rate } from '../../src/cli/progress-line.ts';
import { parseShare } from '../../src/cli/prune.ts';
import { runLine } from '../../src/cli/service-show.ts';
import { displayWidth, formatTime, tableLines } from '../../src/cli/table.ts';
import type { Run } from '../../src/client/generated.ts';
import { Instant } from '../../src/model/instant.ts';
import { textOfMicros } from '../../src/model/instant-text.ts';

describe('moments', () => {
  const inZone = (zone: string): void => {
    const before = process.env['TZ'];
    process.env['TZ'] = zone;
    onTestFinished(() => {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    });
  };

  it.each([
    ['2026-05-04 10:15', '2026-05-04T02:15:00.000000Z'],
    ['2026-05-04T10:15:30', '2026-05-04T02:15:30.000000Z'],
    ['2026-05-04 10:15:30.123456', '2026-05-04T02:15:30.123456Z'],
    ['2026-05-04T10:15:30.123456Z', '2026-05-04T10:15:30.123456Z'],
    ['2026-05-04 10:15 +08:00', '2026-05-04T02:15:00.000000Z'],
  ])('%j in Shanghai is %s', (text, moment) => {
    inZone('Asia/Shanghai');
    expect(textOfMicros(localMicrosOf(text))).toBe(moment);
  });

  it.each(['5', '2026-05-04', '05/04/2026', '2026-02-30 10:00', '2026-05-04 25:00', '20260504', '10:15', 'yesterday'])(
    '%j is none',
    (text) => expect(() => localMicrosOf(text)).toThrow(expect.objectContaining({ code: 'USAGE' })),
  );

  it('that a clock change left out, or had twice, need an offset', () => {
    inZone('Europe/Berlin');
    expect(() => localMicrosOf('2026-03-29 02:30')).toThrow('There is no "2026-03-29 02:30" in the local time');
    for (const text of ['2026-10-25 02:30', '2026-10-25T02:00:00'])
      expect(() => localMicrosOf(text)).toThrow(`"${text}" was there twice`);
    expect(textOfMicros(localMicrosOf('2026-10-25 02:30 +01:00'))).toBe('2026-10-25T01:30:00.000000Z');
    expect(textOfMicros(localMicrosOf('2026-10-25 03:00'))).toBe('2026-10-25T02:00:00.000000Z');
  });

  it('that decide what evidence says are never local', () => {
    expect(momentOf('2026-05-04T10:15:30+08:00')?.toISOString()).toBe('2026-05-04T02:15:30.000Z');
    for (const text of ['2026-05-04 10:15', '2026-02-30T10:00:00Z', '5'])
      expect(() => momentOf(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it('of an API are days that there are', () => {
    const pattern = new RegExp((Instant as { pattern?: string }).pattern!);
    expect(pattern.test('2024-02-29T23:59:59.999Z')).toBe(true);
    for (const text of [
      '2026-02-30T10:00:00.000Z',
      '2026-13-01T10:00:00.000Z',
      '2026-04-31T10:00:00.000Z',
      '2026-04-30T24:00:00.000Z',
    ])
      expect(pattern.test(text), text).toBe(false);
  });
});

describe('numbers with units', () => {
  it.each([
    ['1', 1],
    ['512', 512],
    ['1k', 1024],
    ['1K', 1024],
    ['1KiB', 1024],
    ['1kb', 1024],
    ['10M', 10_485_760],
    ['1.5G', 1_610_612_736],
    ['2 MiB/s', 2_097_152],
    ['1t', 2 ** 40],
    ['', undefined],
    ['0', undefined],
    ['-1', undefined],
    ['1x', undefined],
    ['1.2.3', undefined],
    ['M', undefined],
    ['99999999999999G', undefined],
    ['0.1', undefined],
  ])('%j is %s bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each([
    ['36h', 36],
    ['14d', 336],
    ['2w', 336],
    ['1m', 720],
    ['1y6m', 13_080],
    ['1d 12h', 36],
  ])('%j is %i hours', (text, hours) => expect(parseSpan(text)).toBe(hours * 3_600_000));

  it.each(['', '1', 'd', '1x', '0h', '1d-'])('%j is no time', (text) => expect(() => parseSpan(text)).toThrow(Fault));

  it.each([
    ['5%', 0.05],
    ['0', 0],
    ['100%', 1],
    ['0.25', 0.25],
    ['1', 1],
  ])('%j is a share of %f', (text, share) => expect(parseShare(text, '--x')).toBe(share));

  it.each(['', '5', '-1%', '101%', 'all'])('%j is no share', (text) =>
    expect(() => parseShare(text, '--x')).toThrow('--x must be a share'),
  );

  it('of a count begin where it says', () => {
    expect(faultOfValue({ name: 'n', kind: 'count', min: 1, help: '' }, '0')).toBe('a whole number from 1 on');
    expect(faultOfValue({ name: 'n', kind: 'count', min: 1, help: '' }, '1')).toBeUndefined();
  });
});

describe('the nearest word', () => {
  it.each([
    ['snapshot', 'snapshots'],
    ['bakcup', 'backup'],
    ['restroe', 'restore'],
    ['sta', 'stats'],
    ['frget', 'forget'],
    ['zzzzzz', undefined],
    ['x', undefined],
  ])('to %s is %s', (word, expected) =>
    expect(nearest(word, ['backup', 'restore', 'snapshots', 'stats', 'forget'])).toBe(expected),
  );

  it('counts insertions, deletions, exchanges and transpositions', () => {
    expect([
      editDistance('abc', 'abc'),
      editDistance('abc', 'abxc'),
      editDistance('abc', 'ac'),
      editDistance('abc', 'axc'),
      editDistance('abc', 'acb'),
      editDistance('', 'ab'),
    ]).toEqual([0, 1, 1, 1, 1, 2]);
  });
});

describe('arguments', () => {
  it('that are text stay as they are', () => {
    expect(decodeArguments(['a', 'ä', '漢'])).toEqual(['a', 'ä', '漢']);
    expect(pathOfArgument('/a/ä/漢/😀')).toBe(Buffer.from('/a/ä/漢/😀').toString('latin1'));
  });

  it('that are bytes are those bytes as a path', () => {
    expect(pathOfArgument('/f\udcff\udc80o')).toBe('/f\xff\x80o');
    expect(pathOfArgument('\udcff')).toBe('\xff');
    expect(pathOfArgument('😀\udcfe')).toBe(`${Buffer.from('😀').toString('latin1')}\xfe`);
  });

  it('are paths for programs as text, and as bytes where they are none', () => {
    expect(pathFields(Buffer.from('ä').toString('latin1'))).toEqual({ path: 'ä' });
    expect(pathFields('a\xff')).toEqual({ path: 'a\\xff', pathBase64: 'Yf8=' });
    expect(pathFields('a\nb')).toEqual({ path: 'a\nb' });
  });
});

describe('a table', () => {
  it('aligns columns, and leaves no blanks at the ends', () => {
    expect(
      tableLines(
        [{ title: 'a' }, { title: 'size', align: 'right' }, { title: 'c' }],
        [
          ['xyz', '1', ''],
          ['y', '100000', 'end'],
        ],
      ),
    ).toEqual(['a      size  c', 'xyz       1', 'y    100000  end']);
  });

  it('knows that some characters are wide', () => {
    expect([displayWidth('abc'), displayWidth('漢字'), displayWidth('😀'), displayWidth('')]).toEqual([3, 4, 2, 0]);
  });

  it('shows times as the clock on the wall does', () => {
    expect(formatTime('2026-01-02T03:04:05Z')).toMatch(/^2026-01-0\d \d\d:\d\d:05$/);
  });

  it('shows modes as ls does', () => {
    expect([
      modeText('file', 0o644),
      modeText('directory', 0o1777),
      modeText('file', 0o6755),
      modeText('file', 0o7000),
      modeText('fifo', 0o111),
    ]).toEqual(['-rw-r--r--', 'drwxrwxrwt', '-rwsr-sr-x', '---S--S--T', 'p--x--x--x']);
  });
});

describe('the line of a run', () => {
  const run = { kind: 'backup', state: 'succeeded', dueAt: '2026-11-21T08:00:00.000Z', notBefore: '2026-11-21T08:00:00.000Z' };
  const line = (more: object): string => runLine({ ...run, ...more } as Run);

  it('says how much it was, and what went wrong', () => {
    const result = { snapshot: 'ab', files: 54, bytesScanned: 269_377, bytesStored: 77_000, problems: 0, durationMs: 9 };
    expect(line({ result })).toBe('backup: succeeded, 54 files, 263 KiB, 75.2 KiB stored');
    expect(line({ state: 'warned', result: { files: 1, problems: 2 } })).toBe('backup: warned, 1 file, 2 problems');
    expect(line({ kind: 'restore', result: { entries: 1, bytes: 1024, problems: 1 } })).toBe(
      'restore: succeeded, 1 entry, 1.00 KiB, 1 problem',
    );
    expect(line({ kind: 'forget', result: { kept: 3, held: 0, forgotten: ['a', 'b'] } })).toBe(
      'forget: succeeded, 3 kept, 2 forgotten',
    );
    expect(line({ state: 'failed', fault: { code: 'TARGET_FULL', message: 'No room', hint: '' } })).toBe(
      'backup: failed: No room [TARGET_FULL]',
    );
  });

  it('says when one that waits for its time may begin, and how far one is that runs', () => {
    expect(line({ state: 'queued' })).toBe('backup: queued');
    const notBefore = '2026-11-21T08:01:00.000Z';
    expect(line({ state: 'queued', notBefore })).toBe(`backup: queued, not before ${formatTime(notBefore)}`);
    const progress = { phase: 'reading', bytesDone: 1024, bytesTotal: 2048, at: notBefore };
    expect(line({ state: 'running', progress })).toBe('backup: reading, 1.00 KiB of 2.00 KiB');
    expect(line({ progress }), 'what it did last is of no interest').toBe('backup: succeeded');
  });
});

describe('the progress line', () => {
  const gauge = (bytesDone: number, bytesTotal?: number) => ({ bytesDone, bytesTotal, notes: ['new 1.0 GiB'], fields: {} });

  it('shows how much of what, how fast, and when it ends', () => {
    const rate = new Rate(0);
    lineOf(gauge(0, 4000), rate, 0);
    expect(lineOf(gauge(1024, 1024 * 61), rate, 4000)).toBe('1.00 KiB / 61.0 KiB  1%  256 B/s  ETA 4m00s  new 1.0 GiB');
  });

  it('shows no end that it cannot know', () => {
    const rate = new Rate(0);
    expect(lineOf(gauge(2048), rate, 1000)).toBe('2.00 KiB  2.00 KiB/s  new 1.0 GiB');
    expect(lineOf(gauge(2048, 4096), rate, 1500)).not.toContain('ETA');
    expect(lineOf(gauge(5000, 4096), rate, 9000)).toContain('100%');
    expect(lineOf(gauge(0, 0), new Rate(0), 0)).toBe('0 B / 0 B  0 B/s  new 1.0 GiB');
  });

  it('forgets how fast it was long ago', () => {
    const rate = new Rate(0);
    rate.add(1_000_000, 1000);
    for (let atMs = 2000; atMs <= 20_000; atMs += 1000) rate.add(1_000_000, atMs);
    expect(rate.add(1_000_000, 21_000)).toBe(0);
  });
});

class Recorder implements Sink {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 40;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

function output(options: { readonly json?: boolean; readonly quiet?: boolean; readonly terminal?: boolean }) {
  const out = new Recorder(false);
  const err = new Recorder(options.terminal ?? false);
  return {
    out,
    err,
    output: new Output({ json: options.json ?? false, quiet: options.quiet ?? false, verbose: false, progress: true }, out, err),
  };
}

describe('output', () => {
  it('keeps results on standard output and all else on standard error', () => {
    const { out, err, output: to } = output({});
    to.line('result');
    to.notice('notice');
    to.warning('careful', { path: 'x' });
    to.record('thing', { a: 1 });
    to.flush();
    expect(out.text).toBe('result\n');
    expect(err.text).toBe('notice\nwarning: careful\n');
  });

  it('is lines of JSON when asked for, and nothing else', () => {
    const { out, err, output: to } = output({ json: true });
    to.line('result');
    to.notice('notice');
    to.warning('careful', { path: 'x' });
    to.summary('verb', { n: 1 });
    to.fault(new Fault('KEY_NOT_FOUND', 'none'));
    to.flush();
    expect(
      out.text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { kind: 'warning', message: 'careful', path: 'x' },
      { kind: 'summary', verb: 'verb', n: 1 },
      { kind: 'error', code: 'KEY_NOT_FOUND', message: 'none', hint: 'See "holdfast key list".', exit: 1, retry: 'never' },
    ]);
    expect(err.text).toBe('');
  });

  it('is quiet when told so, but not about warnings', () => {
    const { err, output: to } = output({ quiet: true });
    to.notice('notice');
    to.warning('careful', {});
    expect(err.text).toBe('warning: careful\n');
  });

  it('lets nobody else drive the terminal', () => {
    const { out, err, output: to } = output({});
    to.line('asset \x1b[2Jx\u202e');
    for (const line of tableLines([{ title: 'a' }], [['b\nc\x07']])) to.line(line);
    to.warning('file \x1b]0;title\x07\nsecond', {});
    to.fault(new Fault('KEY_NOT_FOUND', 'key \x9b31m'));
    to.flush();
    expect(out.text).toBe('asset \\x1b[2Jx\\u{202e}\na\nb\\x0ac\\x07\n');
    expect(err.text).toBe(
      'warning: file \\x1b]0;title\\x07\\x0asecond\nholdfast: key \\x9b31m\n  See "holdfast key list". [KEY_NOT_FOUND]\n',
    );
  });

  it('takes the status line away before it writes anything there, and never writes more than fits', () => {
    const { err, output: to } = output({ terminal: true });
    to.status('x'.repeat(100));
    to.notice('notice');
    expect(err.text).toBe(`\r\x1b[2K${'x'.repeat(39)}\r\x1b[2Knotice\n`);
    const { err: none, output: dumb } = output({ terminal: false });
    dumb.status('progress');
    expect(none.text).toBe('');
  });
});
