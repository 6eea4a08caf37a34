// What the process gives to the command line. Only src/main.ts makes one.

export type Environment = {
  /** Without the program's name. */
  readonly argv: readonly string[];
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Unless --cache-dir says otherwise. */
  readonly cacheDirectory: string;
};
