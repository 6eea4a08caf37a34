// Problems of single entries, as far as the result of a run tells them: a few, and each short, so that a result is never too large to be taken.

import { displayPath } from '../../src/model/entry-path.ts';

const PROBLEMS_TOLD = 50;
const CHARS_TOLD = 500;

type Problem = { readonly path: string; readonly code: string; readonly message: string };

/** The first of them. */
export class ToldProblems {
  readonly #told: Problem[] = [];

  add({ path, code, message }: Problem): void {
    if (this.#told.length >= PROBLEMS_TOLD) return;
    this.#told.push({ path: displayPath(path).slice(0, CHARS_TOLD), code, message: message.slice(0, CHARS_TOLD) });
  }

  /** For the result; nothing when there are none. */
  describe(): { readonly firstProblems?: readonly Problem[] } {
    return this.#told.length === 0 ? {} : { firstProblems: this.#told };
  }
}
