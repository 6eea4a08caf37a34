// The audit without a running service: prove it, print it.

import { createReadStream, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT, Fault, isFault } from '../base/faults.ts';
import type { AuditEntry } from '../model/audit-entry.ts';
import { pathOfArgument } from './arguments.ts';
import { openStoreOf } from './open.ts';
import { publicKeyIn } from './public-key.ts';
import { mustHaveCatalog, type ServiceHome, serviceHome, serviceStore } from './service-home.ts';
import type { Invocation } from './verb.ts';

const SQLITE_MAGIC = 'SQLite format 3\0';

export async function verify(invocation: Invocation): Promise<number> {
  const { args, output } = invocation;
  const { verifyAudit } = await import('../trust/audit-chain.ts');
  const home = serviceHome(invocation);
  if (args[0] === undefined) mustHaveCatalog(home);
  const file = args[0] === undefined ? home.catalog : Buffer.from(pathOfArgument(args[0]), 'latin1').toString('utf8');
  const { marks, location } = await checkpointsOf(invocation, home);
  const verdict = await verifyAudit(await entriesOf(file), marks);
  if (verdict.kind === 'broken') {
    output.record('broken', { sequence: verdict.sequence, what: verdict.what });
    throw new Fault('AUDIT_BROKEN', `The audit is broken at ${verdict.sequence}: ${verdict.what}`);
  }
  const { entries, checkpoints, last, gaps } = verdict;
  output.line(`The audit is whole: ${entries} entries, ${checkpoints} signed checkpoints`);
  if (last !== undefined) output.line(`  last: ${last.sequence} ${last.hash}`);
  output.summary('audit verify', { entries, checkpoints, ...(last === undefined ? {} : { last: last.sequence, hash: last.hash }) });
  for (const gap of gaps)
    output.warning(
      `Entries ${gap.from} to ${gap.to} were lost when the catalogue was restored from a backup; nobody can tell what they said`,
      { ...gap },
    );
  if (checkpoints > 0 || entries === 0) return gaps.length === 0 ? 0 : EXIT.warnings;
  output.warning(`There is no checkpoint at ${location}: a missing end, or an audit that was written anew, cannot be seen`, {
    location,
  });
  return EXIT.warnings;
}

/** One JSON object a line, on standard output. */
export async function export_(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const home = serviceHome(invocation);
  mustHaveCatalog(home);
  const [{ writeAll }, { readAudit }] = await Promise.all([import('./write-stdout.ts'), import('../catalog/sqlite/read-audit.ts')]);
  output.keepStandardOutputForData();
  let entries = 0;
  const lines = async function* (): AsyncGenerator<Uint8Array> {
    for await (const entry of readAudit(home.catalog)) {
      entries++;
      yield Buffer.from(`${JSON.stringify(entry)}\n`);
    }
  };
  await writeAll(lines(), () => {}, signal);
  output.notice(`${entries} entries`);
  return 0;
}

async function checkpointsOf(invocation: Invocation, home: ServiceHome) {
  const { options } = invocation;
  const [{ readCheckpoints }, { AUDIT_KEY_PUBLIC }, { checkpointStore }, { auditLocation }] = await Promise.all([
    import('../trust/audit-checkpoint.ts'),
    import('../trust/audit-key.ts'),
    import('../recovery/checkpoint-store.ts'),
    import('../recovery/system-repository.ts'),
  ]);
  const given = options.text('checkpoints');
  const location = given ?? auditLocation(serviceStore(invocation, home));
  const named = options.texts('key');
  const files = named.length > 0 ? named : [join(home.secrets, AUDIT_KEY_PUBLIC)].filter((path) => existsSync(path));
  const keys = files.map(publicKeyIn);
  let store: Awaited<ReturnType<typeof openStoreOf>>;
  try {
    store = await openStoreOf(invocation, location, false);
  } catch (error) {
    // Nobody named it: perhaps there never was one.
    if (given === undefined && isFault(error, 'STORE_BUCKET_MISSING', 'STORE_DENIED')) return { marks: [], location };
    throw error;
  }
  try {
    return { marks: await readCheckpoints(checkpointStore(store), keys), location };
  } finally {
    await store.close();
  }
}

/** Of a catalogue's file, or of an export. */
async function entriesOf(path: string): Promise<AsyncIterable<AuditEntry>> {
  const handle = await open(path, 'r').catch((cause: Error) => {
    throw new Fault('SOURCE_UNREADABLE', `"${path}" cannot be read: ${cause.message}`, { cause });
  });
  const { buffer } = await handle.read({ buffer: Buffer.alloc(SQLITE_MAGIC.length), position: 0 });
  await handle.close();
  if (buffer.toString('latin1') !== SQLITE_MAGIC) return exported(path);
  const { readAudit } = await import('../catalog/sqlite/read-audit.ts');
  return readAudit(path);
}

async function* exported(path: string): AsyncGenerator<AuditEntry> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (line === '') continue;
    let entry: AuditEntry | null;
    try {
      entry = JSON.parse(line);
    } catch {
      entry = null;
    }
    if (entry === null || typeof entry !== 'object' || typeof entry.sequence !== 'number')
      throw new Fault('AUDIT_BROKEN', `Line ${number} of "${path}" is no entry of an audit`);
    yield entry;
  }
}
