// What a verb is: data for help, parsing and completion, and where its code lies, which is loaded only when it runs.

import type { Derive } from '../codec/derive.ts';
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
  /** Of the key from the passphrase: with a head start, see early-key.ts. */
  readonly derive?: Derive | undefined;
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
  readonly load: () => Promise<VerbRun>;
};
