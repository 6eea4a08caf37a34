// The watcher of a drill, a process of its own: what it looks at to see whether a failover is declared is put together here, because a drill
// itself may not know of registries and journals. A program; see agents/drill/watcher.ts.

import { existsSync } from 'node:fs';
import { type FailoverView, watchDrill } from '../../agents/drill/watcher.ts';

export type ViewWish = {
  /** Whoever declares a failover makes this file. */
  readonly file?: string;
};

function viewOf(wish: unknown): FailoverView {
  const { file } = wish as ViewWish;
  return async () => (file !== undefined && existsSync(file) ? `${file} is there: a failover was declared` : undefined);
}

if (process.argv[1] === import.meta.filename) watchDrill(viewOf);
