// Reading files whose pages have checksums (PostgreSQL's relations) while somebody writes them: a page that is not whole is read again, for
// it may have been half written. What stays wrong is told, with the log position that the page names: who knows from where to where the log
// is replayed can say whether it will be written anew.

import { PageChecker } from '../codec/page-checksum.ts';
import type { Scanner } from '../codec/scanner.ts';
import type { BrokenPage, PageCheck } from './file-task.ts';
import type { ReadAt } from './read-at.ts';

/** A page takes microseconds to be written; a writer that lost its processor in the middle comes back within some milliseconds. */
const READS_AGAIN = 50;
const WAIT_MS = 2;

let checker: PageChecker | undefined;
const waiting = new Int32Array(new SharedArrayBuffer(4));

/** As `read`. Pages begin at multiples of their size; `broken` gets those that stay wrong. What is read into the scanner's window is looked at by
 *  that, three times as fast. */
export function checkedRead(
  read: ReadAt,
  { pageBytes, firstPage }: PageCheck,
  broken: BrokenPage[],
  { window, brokenPage }: Pick<Scanner, 'window' | 'brokenPage'>,
): ReadAt {
  const pages = checkerOf(pageBytes);
  return (target, length, position) => {
    const got = read(target, length, position);
    const first = -position & (pageBytes - 1);
    const end = got - ((got - first) & (pageBytes - 1));
    const offset = target.buffer === window.buffer ? target.byteOffset - window.byteOffset : undefined;
    for (let at = first; at < end; at += pageBytes) {
      const block = firstPage + (position + at) / pageBytes;
      at =
        offset === undefined
          ? pages.firstBroken(target, at, end, block)
          : brokenPage(offset + at, offset + end, pageBytes, block) - offset;
      if (at >= end) break;
      const page = (position + at) / pageBytes;
      const bytes = target.subarray(at, at + pageBytes);
      if (!readAgain(read, pages, bytes, firstPage + page, position + at))
        broken.push({ page, position: pages.positionOf(bytes, 0) });
    }
    return got;
  };
}

/** False when it stays wrong. */
function readAgain(read: ReadAt, pages: PageChecker, page: Uint8Array, block: number, position: number): boolean {
  for (let again = 0; again < READS_AGAIN; again++) {
    if (again > 0) Atomics.wait(waiting, 0, 0, WAIT_MS);
    const got = read(page, page.length, position);
    // The file was cut meanwhile, which is in the log.
    if (got < page.length) page.fill(0, got);
    if (got < page.length || pages.isWhole(page, 0, block)) return true;
  }
  return false;
}

function checkerOf(pageBytes: number): PageChecker {
  if (checker?.pageBytes !== pageBytes) checker = new PageChecker(pageBytes);
  return checker;
}
