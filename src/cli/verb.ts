// What a verb is: data for help, parsing and completion, and where its code lies, which is loaded only when it runs.

import type { ReadThreads } from '../engine/reading-pool.ts';
import type { RepositoryOptions } from '../repository/repository.ts';
import type { Environment } from './environment.ts';
import type { Option, OptionValues } from './option.ts';
import type { Output } from './output.ts';

export type Argument = {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** For completion. */
  readonly kind: 'text' | 'path' | 'snapshot' | 'verb' | 'choice';
  readonly choices?: readonly string[];
};

export type Invocation = {
  readonly verb: Verb;
  /** All of them: for help and completion. */
  readonly verbs: readonly Verb[];
  /** As typed; bytes that are not UTF-8 as in arguments.ts. */
  readonly args: readonly string[];
  readonly options: OptionValues;
  readonly environment: Environment;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly early: HeadStart;
};

/** What runs already when a verb begins; see head-start.ts. */
export type HeadStart = {
  /** Of the key from the passphrase. */
  readonly derive?: RepositoryOptions['derive'] | undefined;
  readonly readThreads?: ReadThreads | undefined;
};

/** Answers the exit status: 0, or 3 (warnings) or 4 (damage). Everything else is thrown. */
export type VerbRun = (invocation: Invocation) => Promise<number>;

export type Verb = {
  /** "backup", or "key add". */
  readonly name: string;
  readonly summary: string;
  /** For help, below the usage. */
  readonly details?: string;
  readonly args: readonly Argument[];
  readonly options: readonly Option[];
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Whether it will read packs with threads. */
  readonly readsPacks?: (options: OptionValues) => boolean;
  readonly load: () => Promise<VerbRun>;
};
