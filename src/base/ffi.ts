// Calls into C without a compiler on the user's machine: koffi (prebuilt through npm) resolves symbols of the running process.
// The Node binary exports its own zstd and OpenSSL, and libc is there, so nothing else is loaded. Where koffi is missing (another
// platform), `cLibrary` is undefined and every caller has a slower twin in plain Node.

import { createRequire } from 'node:module';

// biome-ignore lint/suspicious/noExplicitAny: a C function takes what its prototype says; koffi checks it at the call.
type Arguments = any[];

export type CFunction = {
  // biome-ignore lint/suspicious/noExplicitAny: and so it answers.
  (...args: Arguments): any;
  /** On a thread of Node's pool; the last argument is a callback (error, result). Memory that is pointed to must stay until then. */
  readonly async: (...args: Arguments) => void;
};

export type CLibrary = {
  /** Binds a C prototype, e.g. "int close(int)". Undefined when the process does not export the symbol. */
  readonly bind: (prototype: string) => CFunction | undefined;
  /** The errno that the last call left behind on this thread. */
  readonly errno: () => number;
};

function load(): CLibrary | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const self = koffi.load(null);
    return {
      bind: (prototype) => {
        try {
          return self.func(prototype) as CFunction;
        } catch {
          return undefined;
        }
      },
      errno: () => koffi.errno(),
    };
  } catch {
    return undefined;
  }
}

/** The symbols of this process, or undefined where they cannot be reached. Who binds them takes a `driver` that asks for the twin. */
export const cLibrary: CLibrary | undefined = load();
