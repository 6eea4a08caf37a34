// Asking for chunks, with the other side of the shared memory in the same thread: answered before anybody waits.

import { expect, it } from 'vitest';
import { AskedChunks, newQuestionMemory, Question } from '../../src/worker/asked-chunks.ts';
import { newFound } from '../../src/worker/dedup.ts';
import { seededBytes } from '../support/seeded-random.ts';

class GaveUp extends Error {}

/** The main thread's part: knows ids whose first byte is even, at an offset that is that byte. */
function other() {
  const memory = newQuestionMemory();
  const questions = memory.map((one) => new Question(one));
  const asked: number[] = [];
  const answers: (() => void)[] = [];
  const chunks = new AskedChunks(memory, {
    tell: (question, count) => {
      asked.push(count);
      const { ids } = questions[question]!;
      const found = new Uint8Array(count);
      const places = new Uint8Array(count * 24);
      for (let i = 0; i < count; i++) {
        const first = ids[i * 32]!;
        if (first % 2 === 1) continue;
        found[i] = 1;
        places[i * 24 + 16] = first;
        places[i * 24 + 20] = 100;
      }
      answers.push(() => questions[question]!.answer({ found, places }));
    },
    giveUp: () => {
      throw new GaveUp();
    },
  });
  const answer = (): void => {
    for (const one of answers.splice(0)) one();
  };
  return { chunks, asked, questions, answer };
}

function idsOf(firsts: readonly number[]): Uint8Array {
  const ids = seededBytes(firsts.length * 32, 1);
  firsts.forEach((first, i) => {
    ids[i * 32] = first;
  });
  return ids;
}

it('what was asked for is known afterwards, and asked for once', () => {
  const { chunks, asked, answer } = other();
  const ids = idsOf([2, 3, 4]);
  const pending = chunks.begin(ids, 3, false);
  answer();
  chunks.finish(pending);
  const found = newFound();
  expect(chunks.chunk(ids.subarray(0, 32), found)).toBe(true);
  expect(found.offset).toBe(2);
  expect(found.length).toBe(100);
  expect(chunks.chunk(ids.subarray(32, 64), found)).toBe(false);
  expect(chunks.begin(ids, 3, false)).toEqual({ question: undefined, names: [] });
  expect(asked).toEqual([3]);
});

it('several questions are on their way at a time, and each finds its own answer', () => {
  const { chunks, asked, answer } = other();
  const first = idsOf([2, 4]);
  const second = seededBytes(64, 9);
  second[0] = 6;
  second[32] = 7;
  const one = chunks.begin(first, 2, true);
  const two = chunks.begin(second, 2, true);
  answer();
  chunks.finish(two);
  chunks.finish(one);
  const found = newFound();
  expect(chunks.chunk(second.subarray(0, 32), found) && found.offset).toBe(6);
  expect(chunks.chunk(first.subarray(32, 64), found) && found.offset).toBe(4);
  expect(asked).toEqual([2, 2]);
});

it('an answer that will never come ends the wait, and so do questions after that', () => {
  const { chunks, questions } = other();
  const ids = idsOf([2]);
  const pending = chunks.begin(ids, 1, false);
  for (const question of questions) question.giveUp();
  expect(() => chunks.finish(pending)).toThrow(GaveUp);
  expect(() => chunks.begin(seededBytes(32, 5), 1, false)).toThrow(GaveUp);
});
