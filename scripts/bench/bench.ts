// npm run bench: measures the server and the native core beside peers on this machine, prints
// ratios, and writes every number to .bench/results/<date>.json. Each number is the median of
// alternating repetitions.

import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { native } from '../../src/index/native.ts';
import { benchIdle } from './part-idle.ts';
import { benchIngest } from './part-ingest.ts';
import { benchLibrary } from './part-library.ts';
import { benchSearch } from './part-search.ts';
import { benchStart } from './part-start.ts';
import { loadDataset, type Dataset } from './support/dataset.ts';
import type { BenchContext, BenchPart } from './support/part.ts';
import { cacheFolder } from './support/paths.ts';
import { preparePeers } from './support/python.ts';

const PARTS: Readonly<Record<string, BenchPart>> = {
  start: benchStart,
  idle: benchIdle,
  ingest: benchIngest,
  search: benchSearch,
  library: benchLibrary,
};

const USAGE = `usage: npm run bench -- [options]
  --only PARTS       of ${Object.keys(PARTS).join(',')}; default all
  --rows, --dim      of the data made here; default 100000, 768
  --data PATH        use the files PATH.base, PATH.query (float32 rows), PATH.gt (int32) instead
  --repetitions N    default 5
  --no-peers         measure only ourselves`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rows: { type: 'string', default: '100000' },
      dim: { type: 'string', default: '768' },
      data: { type: 'string' },
      repetitions: { type: 'string', default: '5' },
      'no-peers': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const names = values.only?.split(',') ?? Object.keys(PARTS);
  const unknown = names.filter((name) => PARTS[name] === undefined);
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`unknown part: ${unknown.join(', ')}`);
    console.log(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const options = { rows: Number(values.rows), dim: Number(values.dim) };
  let dataset: Promise<Dataset> | undefined;
  let peers: ReturnType<typeof preparePeers> | undefined;
  const context: BenchContext = {
    loadData: () => {
      dataset ??= loadDataset(
        values.data === undefined ? options : { ...options, path: values.data },
      );
      return dataset;
    },
    python: () => {
      if (values['no-peers']) return undefined;
      const isFirst = peers === undefined;
      peers ??= preparePeers();
      if ('python' in peers) return peers.python;
      if (isFirst) console.log(`peers skipped: ${peers.problem}`);
      return undefined;
    },
    repetitions: Number(values.repetitions),
    print: (line) => console.log(`  ${line}`),
  };
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
    kernels: native.kernelSet(),
    loadBefore: loadavg(),
  };
  const load = machine.loadBefore[0]!.toFixed(1);
  console.log(`${machine.cpu}, ${machine.cores} cores, load ${load}, ${machine.kernels}`);
  const parts: Record<string, object> = {};
  for (const name of names) {
    console.log(name);
    parts[name] = await PARTS[name]!(context);
  }
  const report = {
    date: new Date().toISOString(),
    machine,
    loadAfter: loadavg(),
    ...options,
    parts,
  };
  const path = join(cacheFolder('results'), `${report.date.replaceAll(':', '-')}.json`);
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(`written to ${path}`);
}

main().catch((error: unknown) => {
  console.error(
    `bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  process.exit(1);
});
