// A worker that reads: restores blocks, compares files with a map, proves packs.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { BlockOpener } from './block-opener.ts';
import { Comparer } from './compare-job.ts';
import type { ReadAnswer, ReadRequest, ReadThreadSpec } from './read-task.ts';
import { PackRange, Restorer } from './restore-job.ts';
import { encodeThreadFault } from './thread-fault.ts';
import { PackVerifier } from './verify-job.ts';

function start(port: MessagePort, spec: ReadThreadSpec): void {
  const opener = new BlockOpener();
  const range = new PackRange();
  let restorer: Restorer | undefined;
  let comparer: Comparer | undefined;
  let verifier: PackVerifier | undefined;

  const answer = (request: ReadRequest): ReadAnswer => {
    if (request.kind === 'restore') return (restorer ??= new Restorer(spec.target, opener, range)).run(request);
    if (request.kind === 'verify') return (verifier ??= new PackVerifier(spec.idKey, opener, range)).run(request);
    comparer ??= new Comparer(spec.idKey, spec.target);
    return request.kind === 'compare' ? comparer.compare(request) : comparer.finish(request);
  };

  port.on('message', (request: ReadRequest & { readonly job: number }) => {
    const { job } = request;
    try {
      port.postMessage({ ...answer(request), job });
    } catch (error) {
      port.postMessage({ ...encodeThreadFault(error), job });
    }
  });
}

if (parentPort !== null) start(parentPort, workerData as ReadThreadSpec);
