// One thing that a proof has looked at.

export type ProofCheck = {
  /** 'recovery', 'collations', 'query', 'indexes', 'checksums' */
  readonly name: string;
  /** 'warning': to be looked at; it does not say that the backup is bad. 'skipped': it could not be tried here. */
  readonly outcome: 'passed' | 'failed' | 'warning' | 'skipped';
  readonly detail: string;
};
