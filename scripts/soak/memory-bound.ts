// Presses a server of 1 GiB with 64 clients: inserts of 60 MiB, answers of any size. It must never
// be killed, every refusal must be typed, and it must go on serving.
// usage: node dist/scripts/soak/memory-bound.js [SECONDS] [CLIENTS]

import { checkMemoryBound } from '../../test/support/memory-bound.ts';

const MIB = 1024 * 1024;
const [seconds = 120, clients = 64] = process.argv.slice(2).map(Number);

const report = await checkMemoryBound(clients, seconds);
const { answers, peakBytes, endBytes, isEnforced } = report;
for (const [answer, count] of [...answers].toSorted()) console.log(`${answer}: ${count}`);
console.log(
  `anonymous memory: ${Math.round(peakBytes / MIB)} MiB at most, ` +
    `${Math.round(endBytes / MIB)} MiB at the end; limit ${isEnforced ? '' : 'not '}enforced`,
);
