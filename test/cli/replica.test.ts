// A repository and its replica change places, and change them back, with the command line alone.

import { expect, it } from 'vitest';
import { initialised, type Line } from './holdfast.ts';

it('a repository that was left becomes the replica of its replica, keeps what only it has, and lets it go when it is told to', () => {
  const holdfast = initialised();
  const { repository: a } = holdfast;
  const b = holdfast.path('replica');
  const tree = holdfast.path('tree');
  const backUp = (at: string, content: string): unknown => {
    holdfast.file('tree/file', content);
    return holdfast.summary(['backup', tree, '--repo', at])['snapshot'];
  };
  const snapshots = (at: string): unknown[] =>
    holdfast.lines(['snapshots', '--repo', at]).flatMap(({ kind, id }) => (kind === 'snapshot' ? [id] : []));
  const replicate = (from: string, to: string, ...more: string[]): Line =>
    holdfast.summary(['replica', 'run', '--repo', from, '--to', to, '--once', ...more]);
  const status = (at: string): Line =>
    holdfast.summary(['replica', 'status', '--to', at], { variables: { HOLDFAST_REPO: undefined } });

  const shared = backUp(a, 'shared');
  replicate(a, b);
  const onlyA = backUp(a, 'only at a');
  expect(holdfast.fault(['backup', tree, '--repo', b]).code).toBe('REPLICA_READ_ONLY');
  holdfast.ok(['replica', 'release', '--to', b, '--reason', 'a is cut off']);
  const onlyB = backUp(b, 'only at b');
  // A is no replica of B yet, and nothing is written over that only A has.
  expect(holdfast.fault(['replica', 'run', '--repo', b, '--to', a, '--once']).code).toMatch(/^REPLICA_/);
  expect(snapshots(a)).toEqual([shared, onlyA]);

  replicate(b, a, '--rejoin');
  expect(snapshots(a)).toEqual([shared, onlyB]);
  const left = status(a)['left'] as { readonly id: string }[];
  expect(left).toHaveLength(1);
  expect(status(a)).toMatchObject({ state: 'following' });
  // Again: nothing more is left, and it follows.
  const later = backUp(b, 'later');
  replicate(b, a, '--rejoin');
  expect(status(a)['left']).toEqual(left);
  expect(snapshots(a)).toEqual([shared, onlyB, later]);

  expect(holdfast.fault(['replica', 'discard', 'nobody', '--to', a])).toMatchObject({ code: 'USAGE', status: 2 });
  const { id } = left[0]!;
  expect(holdfast.summary(['replica', 'discard', id, '--to', a])).toMatchObject({ id });
  expect(status(a)['left']).toEqual([]);
  replicate(b, a);
  expect(holdfast.summary(['replica', 'verify', '--full', '--repo', b, '--to', a])).toMatchObject({ outcome: 'clean' });
});
