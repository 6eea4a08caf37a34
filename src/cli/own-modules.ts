// Finding our own modules: a specifier that begins with "." and ends in ".ts" is the file of that name. Node's resolution would find out just
// that with several system calls and a walk over packages and conditions for each of the 150 modules of a verb (measured: 30 of 370 CPU ms of
// `snapshots`). Everything else goes Node's way.

import { registerHooks } from 'node:module';

const DOT = 46;

/** For the thread that calls it, and for what is imported afterwards. */
export function resolveOwnModulesFast(): void {
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.charCodeAt(0) !== DOT || !specifier.endsWith('.ts') || context.parentURL === undefined)
        return next(specifier, context);
      return { url: new URL(specifier, context.parentURL).href, format: 'module-typescript', shortCircuit: true };
    },
  });
}
