// Reading files whose pages have checksums (PostgreSQL's relations) while somebody writes them: a page that is not whole is read again, for
// it may have been half written. What stays wrong is told, with the log position that the page names: who knows from where to where the log
// is replayed can say whether it will be written anew.

import { PageChecker } from '../codec/page-checksum.ts';
import type { BrokenPage, PageCheck } from './file-task.ts';
import type { ReadAt } from './read-at.ts';

/** A page takes microseconds to be written; a writer that lost its processor in the middle comes back within some milliseconds. */
const READS_AGAIN = 50;
const WAIT_MS = 2;

let checker: PageChecker | undefined;
let checkerBytes = 0;
const waiting = new Int32Array(new SharedArrayBuffer(4));

/** As `read`. Pages begin at multiples of their size; `broken` gets those that stay wrong. */
export function checkedRead(read: ReadAt, { pageBytes, firstPage }: PageCheck, broken: BrokenPage[]): ReadAt {
  const pages = checkerOf(pageBytes);
  const isWhole = (page: Uint8Array, position: number): boolean => pages.isWhole(page, firstPage + position / pageBytes);
  return (target, length, position) => {
    const got = read(target, length, position);
    for (let at = -position & (pageBytes - 1); at + pageBytes <= got; at += pageBytes) {
      const page = target.subarray(at, at + pageBytes);
      if (isWhole(page, position + at)) continue;
      let again = 0;
      for (; again < READS_AGAIN; again++) {
        if (again > 0) Atomics.wait(waiting, 0, 0, WAIT_MS);
        const bytes = read(page, pageBytes, position + at);
        // The file was cut meanwhile, which is in the log.
        if (bytes < pageBytes) page.fill(0, bytes);
        if (bytes < pageBytes || isWhole(page, position + at)) break;
      }
      if (again === READS_AGAIN) broken.push({ page: (position + at) / pageBytes, position: pages.position });
    }
    return got;
  };
}

function checkerOf(pageBytes: number): PageChecker {
  if (checker === undefined || checkerBytes !== pageBytes) checker = new PageChecker(pageBytes);
  checkerBytes = pageBytes;
  return checker;
}
