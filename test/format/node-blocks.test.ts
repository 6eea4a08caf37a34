// The table of blocks of every kind of node, against what decoding the whole node says.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { blocksOfNode, isLeaf } from '../../src/format/node-blocks.ts';
import { blockOf, referenceCount } from '../../src/model/reference.ts';
import { type MapNode, readContentOf, rootNode } from '../../src/repository/map-walk.ts';
import { newRepository } from '../support/new-repository.ts';
import { backUpTree, writeFileAt, writeSampleTree } from '../support/repository.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { seededBytes } from '../support/seeded-random.ts';

it('names every block that the node refers to', async () => {
  const directory = scratchDirectory();
  const source = join(directory, 'source');
  writeSampleTree(source, 1, 40);
  for (let n = 0; n < 3000; n++) writeFileAt(source, `small/${n}`, `content ${n}`);
  // Content with maps of its own: chunks, and units with branches above them.
  writeFileAt(source, 'chunks', seededBytes(9_000_001, 2));
  writeFileAt(source, 'units', seededBytes(2048 * 4096, 3));
  const repository = await newRepository(directory);
  const snapshot = await backUpTree(repository, source);
  await repository.refreshIndex();
  const { unitBytes } = repository.parameters.paged;
  const waiting: MapNode[] = [rootNode(snapshot.root, unitBytes)!];
  const kinds = new Set<string>();
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const bytes = await repository.readNode(node.reference);
    const content = readContentOf(bytes, node.role, unitBytes);
    const expected = new Set<string>();
    const add = (id: Uint8Array): void => void expected.add(Buffer.from(id).toString('hex'));
    for (const { reference } of content.nodes) add(blockOf(reference));
    for (const references of content.content) for (let i = 0; i < referenceCount(references); i++) add(blockOf(references, i));
    const table = blocksOfNode(bytes);
    const named = Array.from({ length: table.length / 16 }, (_, i) =>
      Buffer.from(table.subarray(i * 16, i * 16 + 16)).toString('hex'),
    );
    expect(new Set(named)).toEqual(expected);
    expect(isLeaf(bytes)).toBe(content.content.length > 0);
    kinds.add(`${node.role.kind} ${isLeaf(bytes)}`);
    waiting.push(...content.nodes);
  }
  expect([...kinds].sort()).toEqual(['chunks true', 'entries false', 'entries true', 'units false', 'units true']);
});
