// Serves a snapshot of a volume, or one file of a tree, over NBD: read-only, any block on demand, nothing is restored.

import { chmodSync, unlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { Fault, isFault } from '../base/faults.ts';
import { ContentReader } from '../engine/content-reader.ts';
import { findEntry } from '../engine/entries-reader.ts';
import { serveNbdClient } from '../export/nbd-server.ts';
import { displayPath } from '../model/entry-path.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Content } from '../model/stored-entry.ts';
import type { Repository } from '../repository/repository.ts';
import { withRepository } from './open.ts';
import type { OptionValues } from './option.ts';
import { usage } from './option.ts';
import { pinned } from './pinned.ts';
import { selectSnapshot } from './select.ts';
import { shortId } from './snapshot-fields.ts';
import { entryOfArgument, sourceName } from './snapshot-path.ts';
import type { Invocation } from './verb.ts';

const CLIENTS_MAX = 64;

export function exportSnapshot(invocation: Invocation): Promise<number> {
  const { options, args, output, signal } = invocation;
  const place = listenPlace(options);
  return withRepository(invocation, async (repository) => {
    const snapshot = await selectSnapshot(repository, args[0]!, invocation);
    await repository.openIndex({ signal });
    const { content, sizeBytes, name } = await contentOf(repository, snapshot, options.text('path'));
    const { parameters, readNode, reader } = repository;
    const exported = {
      name,
      content: new ContentReader(content, sizeBytes, parameters.paged.unitBytes, readNode, reader),
      onFault: (error: unknown) => {
        output.warning(error instanceof Error ? error.message : String(error), isFault(error) ? { code: error.code } : {});
        output.flush();
      },
    };
    return pinned(invocation, repository, snapshot, async () => {
      const server = createServer((socket) => void serveNbdClient(socket, exported));
      server.maxConnections = CLIENTS_MAX;
      await listen(server, place);
      const address = server.address();
      const uri =
        typeof address === 'string'
          ? `nbd+unix:///${encodeURIComponent(name)}?socket=${address}`
          : `nbd://${place.host}:${address?.port}/${encodeURIComponent(name)}`;
      output.record('listening', { uri, name, sizeBytes, snapshot: snapshot.id });
      output.line(`Serving ${displayPath(name)} of snapshot ${shortId(snapshot.id)}, read-only, at ${uri}`);
      await new Promise<void>((resolve) =>
        signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }),
      );
      server.close();
      if (place.path !== undefined) unlinkQuietly(place.path);
      output.summary('export', { snapshot: snapshot.id, name, sizeBytes });
      return 0;
    });
  });
}

async function contentOf(
  repository: Repository,
  snapshot: Snapshot,
  path: string | undefined,
): Promise<{ content: Content; sizeBytes: number; name: string }> {
  const { root } = snapshot;
  if (snapshot.type === 'files') {
    if (path === undefined) throw usage('A snapshot of files is exported one file at a time: name it with --path');
    let entry = await entryOfArgument(snapshot, path, repository.readNode);
    if (entry !== undefined && entry.hardLinkTo !== '')
      entry = await findEntry(root.reference, repository.readNode, entry.hardLinkTo);
    if (entry?.kind !== 'file') throw usage(`"${path}" is not a file`);
    return {
      content: entry.content,
      sizeBytes: entry.sizeBytes,
      name: displayPath(entry.path === '' ? sourceName(snapshot) : entry.path),
    };
  }
  if (path !== undefined) throw usage('--path is for snapshots of files');
  const content: Content =
    root.kind === 'units' ? { kind: 'units-map', root: root.reference } : { kind: 'chunks-map', root: root.reference };
  return { content, sizeBytes: root.contentBytes, name: displayPath(sourceName(snapshot)) };
}

type ListenPlace = { readonly host: string; readonly port: number; readonly path: string | undefined };

function listenPlace(options: OptionValues): ListenPlace {
  const path = options.text('socket');
  const listenText = options.text('listen');
  if (path !== undefined && listenText !== undefined) throw usage('--listen and --socket are two places');
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(listenText ?? '127.0.0.1:10809');
  if (match === null || Number(match[3]) > 65535) throw usage(`--listen takes HOST:PORT, not "${listenText}"`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3]), path };
}

function listen(server: Server, { host, port, path }: ListenPlace): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new Fault('EXPORT_CANNOT_LISTEN', `Cannot listen at ${path ?? `${host}:${port}`}: ${cause.code ?? cause.message}`, {
          cause,
        }),
      ),
    );
    const ready = (): void => {
      // Whoever can connect can read everything in it.
      if (path !== undefined) chmodSync(path, 0o600);
      resolve();
    };
    if (path === undefined) server.listen(port, host, ready);
    else server.listen(path, ready);
  });
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Node removes it when it closes the server.
  }
}
