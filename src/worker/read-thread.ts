// A worker that reads: restores blocks, compares files with a map, proves packs.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { posixCalls } from '../files/posix-calls.ts';
import { BlockOpener } from './block-opener.ts';
import { Comparer } from './compare-job.ts';
import type { ReadAnswer, ReadRequest, ReadThreadSpec } from './read-task.ts';
import { PackRange, Restorer } from './restore-job.ts';
import { encodeThreadFault } from './thread-fault.ts';
import { PackVerifier } from './verify-job.ts';

type Answerer = (request: ReadRequest) => ReadAnswer;

function answererOf(spec: ReadThreadSpec, opener: BlockOpener): Answerer {
  const range = new PackRange();
  let restorer: Restorer | undefined;
  let comparer: Comparer | undefined;
  let verifier: PackVerifier | undefined;

  return (request) => {
    if (request.kind === 'restore') return (restorer ??= new Restorer(spec.target, opener, range)).run(request);
    if (request.kind === 'verify') return (verifier ??= new PackVerifier(spec.idKey, opener, range)).run(request);
    comparer ??= new Comparer(spec.idKey, spec.target);
    return request.kind === 'compare' ? comparer.compare(request) : comparer.finish(request);
  };
}

/** `spec`: undefined in a thread that was started ahead; then it is the first message. Another one may come between jobs. */
function start(port: MessagePort, spec: ReadThreadSpec | undefined): void {
  // What needs no spec is made at once.
  const opener = new BlockOpener();
  posixCalls();
  let answer = spec === undefined ? undefined : answererOf(spec, opener);
  port.on('message', (message: ReadThreadSpec | (ReadRequest & { readonly job: number })) => {
    if (answer === undefined || !('job' in message)) {
      answer = answererOf(message as ReadThreadSpec, opener);
      return;
    }
    const { job } = message;
    try {
      port.postMessage({ ...answer(message), job });
    } catch (error) {
      port.postMessage({ ...encodeThreadFault(error), job });
    }
  });
}

if (parentPort !== null) {
  start(parentPort, (workerData ?? undefined) as ReadThreadSpec | undefined);
  if (workerData === undefined || workerData === null) parentPort.postMessage({ kind: 'ready' });
}
