// The long form of test/api/fuzz.test.ts: bin/node bench/service/fuzz.ts [--requests 50000] [--seed N]

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz } from '../../test/api/fuzzer.ts';

const { values } = parseArgs({ options: { requests: { type: 'string', default: '50000' }, seed: { type: 'string' } } });
const seed = values.seed === undefined ? randomInt(2 ** 32 - 1) : Number(values.seed);
const requests = Number(values.requests);
console.log(`seed ${seed}, ${requests} requests`);
const begun = performance.now();
const report = await fuzz(seed, requests, (done) => {
  if (done % 5000 === 0) console.log(`${done} requests`);
});
const seconds = (performance.now() - begun) / 1000;
console.log(
  `${JSON.stringify(report.statuses)} in ${seconds.toFixed(1)} s, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`,
);
for (const failure of report.failures) console.log(`\nFAILED ${failure}`);
console.log(
  report.failures.length === 0
    ? 'no 500, no leak, no crash'
    : `${report.failures.length} failures; run it again with --seed ${seed}`,
);
process.exitCode = report.failures.length === 0 ? 0 : 1;
