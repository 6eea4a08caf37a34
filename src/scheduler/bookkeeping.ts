// What is written down beside the runs: signed checkpoints of the audit, and what each tenant uses. Whatever fails is logged and tried again;
// none of it may keep a run waiting.

import type { Logger } from 'pino';
import { type Program, runProgram } from '../base/program-child.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Tenant } from '../model/tenant.ts';
import type { TenantRepositories } from '../tenants/tenant-repositories.ts';
import type { AuditCheckpoints } from '../trust/audit-checkpoint.ts';
import { meterUsage } from '../trust/usage.ts';

const CHECKPOINT_EVERY_MS = 60_000;
const METER_EVERY_MS = 3_600_000;

export type BookkeepingOptions = {
  readonly catalog: Catalog;
  readonly tenants: Pick<TenantRepositories, 'place'>;
  readonly checkpoints: AuditCheckpoints;
  readonly program: Program;
  readonly now: () => Date;
  readonly log: Pick<Logger, 'error' | 'warn'>;
};

export class Bookkeeping {
  readonly #options: BookkeepingOptions;
  readonly #stopping = new AbortController();
  #timers: readonly NodeJS.Timeout[] = [];
  #busy: Promise<void> = Promise.resolve();

  constructor(options: BookkeepingOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timers = [
      setInterval(() => this.#inTurn(() => this.#checkpoint(false)), CHECKPOINT_EVERY_MS),
      setInterval(() => this.#inTurn(() => this.#meter()), METER_EVERY_MS),
    ];
    this.#inTurn(() => this.#checkpoint(false));
    this.#inTurn(() => this.#meter());
  }

  /** Signs what the audit has by then. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#stopping.abort();
    await this.#busy;
    await this.#guarded('sign the audit', () => this.#checkpoint(true));
  }

  async #checkpoint(isForced: boolean): Promise<void> {
    await this.#options.checkpoints.writeIfDue(isForced);
  }

  async #meter(): Promise<void> {
    const { catalog, now } = this.#options;
    await meterUsage({ catalog, now, storedBytesOf: (tenant) => this.#storedBytesOf(tenant) });
  }

  /** In a process of its own: counting a large index takes a while. */
  async #storedBytesOf({ id, name }: Tenant): Promise<number | undefined> {
    const { tenants, program, log } = this.#options;
    const { location, passphraseFile, cacheDirectory, environment } = await tenants.place(id);
    let storedBytes: unknown;
    const { status, stderr } = await runProgram({
      program,
      args: ['stats', '--repo', location, '--passphrase-file', passphraseFile, '--cache-dir', cacheDirectory],
      environment,
      signal: this.#stopping.signal,
      onLine: (line) => {
        if (line.kind === 'summary') storedBytes = line.storedBytes;
      },
    });
    if (typeof storedBytes === 'number') return storedBytes;
    if (!this.#stopping.signal.aborted) log.warn({ tenant: name, status, stderr }, 'what a tenant stores could not be measured');
    return undefined;
  }

  #inTurn(work: () => Promise<void>): void {
    this.#busy = this.#busy.then(() => (this.#stopping.signal.aborted ? undefined : this.#guarded('keep the books', work)));
  }

  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error({ err: error }, `could not ${what}`);
    }
  }
}
