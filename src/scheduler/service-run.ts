// What every execution of a service run gets, and how the end of a child becomes the end of an attempt.

import type { FaultCode } from '../base/faults.ts';
import { Fault } from '../base/faults.ts';
import { type ChildEnd, type ChildLine, type Program, runProgram } from '../base/program-child.ts';
import type { Catalog, RunEnd } from '../catalog/catalog.ts';
import type { ErasureCertificate } from '../model/erasure.ts';
import type { Progress, Run, RunFault } from '../model/run.ts';
import { bandwidthAt } from '../policy/policy-tasks.ts';
import type { TenantPlace, TenantRepositories } from '../tenants/tenant-repositories.ts';
import type { UnsignedCertificate } from '../trust/erasure-certificate.ts';
import type { PolicyBook } from './policy-book.ts';

/** Where the service keeps what it keeps. */
export type ServicePlace = {
  readonly home: string;
  /** Of tenants' repositories, as given to the service; absent: below the home. */
  readonly store?: string | undefined;
};

/** What ends a tenant. */
export type ErasurePorts = {
  /** Signed, and stored where nobody changes it; see recovery/certificates.ts. */
  readonly certify: (said: UnsignedCertificate, signal: AbortSignal) => Promise<ErasureCertificate>;
  /** For the certificate: "holdfast 1.0.0". */
  readonly program: string;
};

export type ServiceRunPorts = {
  readonly catalog: Catalog;
  readonly tenants: Pick<TenantRepositories, 'place' | 'use' | 'useStore' | 'destroyPassphrase'>;
  readonly erasure: ErasurePorts;
  readonly book: PolicyBook;
  readonly program: Program;
  readonly service: ServicePlace;
  /** Throws when the repositories are another service's meanwhile: asked before each run. */
  readonly mustServe?: (() => Promise<void>) | undefined;
  readonly now: () => Date;
};

export type Execution = {
  readonly run: Run;
  readonly signal: AbortSignal;
  readonly tell: (progress: Omit<Progress, 'at'>) => void;
};

/** Without `retryAt`: the executor decides on that. */
export type ExecutionEnd = Omit<RunEnd, 'retryAt'>;
export type ServiceRun = (ports: ServiceRunPorts, execution: Execution) => Promise<ExecutionEnd>;

export type VerbOutcome = {
  readonly end: ChildEnd;
  /** Of the last line, when the verb came to its end. */
  readonly summary: ChildLine | undefined;
  /** What the verb failed with. */
  readonly error: RunFault | undefined;
};

/** Runs a verb of our command line on the tenant's repository. `onLine` hears of all lines but progress, summary and error. */
export async function runVerb(
  ports: ServiceRunPorts,
  execution: Execution,
  verb: readonly string[],
  onLine?: (line: ChildLine) => void,
): Promise<VerbOutcome> {
  const { run } = execution;
  const place = await ports.tenants.place(run.tenantId);
  const args = [...verb, ...repositoryArgs(verb[0]!, place), ...limitArgs(ports, run)];
  return outcomeOf(ports, execution, place.environment, args, onLine);
}

/** Runs our command line. */
export async function outcomeOf(
  { program }: Pick<ServiceRunPorts, 'program'>,
  { signal, tell }: Execution,
  environment: Readonly<Record<string, string>>,
  args: readonly string[],
  onLine: (line: ChildLine) => void = () => {},
): Promise<VerbOutcome> {
  let summary: ChildLine | undefined;
  let error: RunFault | undefined;
  const end = await runProgram({
    program,
    args,
    environment,
    signal,
    onLine: (line) => {
      if (line.kind === 'progress') tell(progressOf(args[0]!, line));
      else if (line.kind === 'summary') summary = line;
      else if (line.kind === 'error') error = faultOfLine(line);
      else onLine(line);
    },
  });
  return { end, summary, error };
}

/** The end of an attempt whose verb did not come to its end. */
export function endOfFailure({ end, error }: VerbOutcome): ExecutionEnd {
  if (error !== undefined) return { state: 'failed', fault: error };
  const how = end.signal === null ? `ended with status ${end.status}` : `was ended by ${end.signal}`;
  const said = end.stderr.trim().split('\n').at(-1)?.slice(0, 500) ?? '';
  return { state: 'failed', fault: faultText('RUN_CHILD_DIED', `The process of the run ${how}${said === '' ? '' : `: ${said}`}`) };
}

export function faultText(code: FaultCode, message: string): RunFault {
  const fault = new Fault(code, message);
  return { code, message, hint: fault.hint };
}

/** Numbers and words of a summary: no lists, nothing nested. */
export function resultOf(summary: ChildLine | undefined): Readonly<Record<string, unknown>> {
  const isPlain = (value: unknown): boolean => typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean';
  const entries = Object.entries(summary ?? {}).filter(([key, value]) => key !== 'kind' && key !== 'verb' && isPlain(value));
  return Object.fromEntries(entries);
}

function repositoryArgs(verb: string, place: TenantPlace): readonly string[] {
  const args = ['--repo', place.location];
  // "scrub" works without keys.
  if (verb === 'scrub') return args;
  return [...args, '--passphrase-file', place.passphraseFile, '--cache-dir', place.cacheDirectory];
}

function limitArgs({ book, now }: ServiceRunPorts, { tenantId }: Run): readonly string[] {
  const tenant = book.tenant(tenantId);
  if (tenant === undefined) return [];
  const { uploadBytesPerSecond, downloadBytesPerSecond } = bandwidthAt(book.inForce(tenant).policy, now());
  return [
    ...(uploadBytesPerSecond === undefined ? [] : ['--upload-limit', String(uploadBytesPerSecond)]),
    ...(downloadBytesPerSecond === undefined ? [] : ['--download-limit', String(downloadBytesPerSecond)]),
  ];
}

function progressOf(verb: string, line: ChildLine): Omit<Progress, 'at'> {
  const count = (value: unknown): number | undefined =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const bytesTotal = count(line.bytesTotal);
  const entriesDone = count(line.packsDone) ?? count(line.entriesDone);
  return {
    phase: typeof line.phase === 'string' ? line.phase.slice(0, 40) : verb,
    bytesDone: count(line.bytesDone) ?? 0,
    ...(bytesTotal === undefined ? {} : { bytesTotal }),
    ...(entriesDone === undefined ? {} : { entriesDone }),
  };
}

function faultOfLine(line: ChildLine): RunFault {
  const text = (value: unknown, charsMax: number): string => (typeof value === 'string' ? value.slice(0, charsMax) : '');
  return { code: text(line.code, 60) || 'INTERNAL', message: text(line.message, 4000), hint: text(line.hint, 1000) };
}
