// Checks an LMDB data file before LMDB opens it. LMDB maps the file and believes every pointer in
// it: a damaged page would end the process, a file that is too short likewise. So the newest
// snapshot is walked first: both root pages, every tree page, its nodes and keys, the lists of free
// pages. Invariant: a file that passes can be read by LMDB without leaving the file, in order of
// key. Not here: whether values are right; each has its own checksum (lmdb.ts).
// Source of the layout: LMDB's mdb.c, data version 2, 64 bits, little-endian.

import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { TurnMeter, nextTurn } from '../base/turns.ts';

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const META_COUNT = 2;
/** Page number, transaction, padding, flags, bounds of the free space. */
const PAGE_HEADER_BYTES = 24;
const NODE_HEADER_BYTES = 8;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const PAGE_FLAGS = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const;
/** The value lies on pages of its own. */
const BIG_DATA = 0x01;
/** Pages read in one turn of the event loop (P9). */
const PAGES_PER_TURN = 500;

interface Tree {
  readonly depth: number;
  readonly branchPages: bigint;
  readonly leafPages: bigint;
  readonly overflowPages: bigint;
  readonly entries: bigint;
  readonly root: bigint;
}

interface Meta {
  readonly free: Tree;
  readonly main: Tree;
  readonly lastPage: number;
  readonly mapBytes: number;
  readonly transaction: bigint;
}

/**
 * Reads the file's structure as a whole.
 *
 * @throws Error that says what is wrong, and on which page; Node's error when it cannot be read
 */
export async function checkLmdbFile(path: string, pageBytes: number): Promise<void> {
  const descriptor = openSync(path, 'r');
  try {
    const fileBytes = statSync(path).size;
    await new LmdbFile(descriptor, fileBytes, pageBytes).check();
  } finally {
    closeSync(descriptor);
  }
}

function requireThat(holds: boolean, page: number, what: string): asserts holds {
  if (!holds) throw new Error(`page ${page} is damaged: ${what}`);
}

class LmdbFile {
  readonly #descriptor: number;
  readonly #fileBytes: number;
  readonly #pageBytes: number;
  /** Pages that the snapshot uses; a page has one place. */
  #used = new Uint8Array(0);
  #lastPage = 0;
  #transaction = 0n;
  readonly #turn = new TurnMeter(PAGES_PER_TURN);

  constructor(descriptor: number, fileBytes: number, pageBytes: number) {
    this.#descriptor = descriptor;
    this.#fileBytes = fileBytes;
    this.#pageBytes = pageBytes;
  }

  async check(): Promise<void> {
    const metas = [0, 1].map((page) => this.#readMeta(page));
    // Transactions write the root pages in turn: anything else has been changed by no transaction.
    const [even, odd] = metas.map(({ transaction }) => transaction) as [bigint, bigint];
    const isInTurn = even % 2n === 0n && odd % 2n === 1n && (even - odd) ** 2n === 1n;
    const isNew = even === 0n && odd === 0n;
    requireThat(isInTurn || isNew, 0, 'its transaction does not follow that of page 1');
    const { free, main, lastPage, mapBytes, transaction } = metas[even > odd ? 0 : 1]!;
    const needBytes = (lastPage + 1) * this.#pageBytes;
    requireThat(mapBytes >= needBytes, even > odd ? 0 : 1, `its map has ${mapBytes} bytes`);
    this.#lastPage = lastPage;
    this.#transaction = transaction;
    this.#used = new Uint8Array(lastPage + 1).fill(1, 0, META_COUNT);
    await this.#checkTree(main, 'main');
    await this.#checkTree(free, 'free');
  }

  #readMeta(page: number): Meta {
    const bytes = this.#readPage(page);
    requireThat(bytes.readUInt16LE(18) === PAGE_FLAGS.meta, page, 'it is not a root page');
    const meta = bytes.subarray(PAGE_HEADER_BYTES);
    requireThat(meta.readUInt32LE(0) === MAGIC, page, 'its magic number is not that of LMDB');
    const version = meta.readUInt32LE(4);
    requireThat(version === DATA_VERSION, page, `its version is ${version}, not ${DATA_VERSION}`);
    const [free, main] = [24, 72].map((at) => readTree(meta.subarray(at))) as [Tree, Tree];
    const pageBytes = meta.readUInt32LE(24);
    requireThat(pageBytes === this.#pageBytes, page, `its page size is ${pageBytes}`);
    const lastPage = Number(meta.readBigUInt64LE(120));
    const mapBytes = Number(meta.readBigUInt64LE(16));
    requireThat(meta.readBigUInt64LE(8) === 0n, page, 'it asks for a fixed address');
    return { free, main, lastPage, mapBytes, transaction: meta.readBigUInt64LE(128) };
  }

  async #checkTree(tree: Tree, kind: 'main' | 'free'): Promise<void> {
    const found = { branchPages: 0n, leafPages: 0n, overflowPages: 0n, entries: 0n };
    if (tree.root === NO_PAGE) {
      requireThat(tree.entries === 0n && tree.depth === 0, 0, `its ${kind} tree has no pages`);
      return;
    }
    // Depth first; a level needs no more than its pages: each page is taken once.
    const waiting: { readonly page: bigint; readonly depth: number }[] = [
      { page: tree.root, depth: 1 },
    ];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (this.#turn.isOver(1)) await nextTurn();
      const { depth } = next;
      const isLeaf = depth === tree.depth;
      const page = this.#take(next.page, 1);
      const bytes = this.#readPage(page);
      this.#checkHeader(bytes, page, isLeaf ? PAGE_FLAGS.leaf : PAGE_FLAGS.branch);
      const nodes = this.#readNodes(bytes, page, kind === 'main');
      if (isLeaf) {
        found.leafPages += 1n;
        found.entries += BigInt(nodes.length);
        for (const node of nodes) found.overflowPages += this.#checkValue(node, page, kind);
      } else {
        found.branchPages += 1n;
        requireThat(nodes.length >= 1, page, 'it is a branch without branches');
        for (const node of nodes) waiting.push({ page: readChild(node), depth: depth + 1 });
      }
    }
    for (const [name, count] of Object.entries(found) as [keyof typeof found, bigint][]) {
      const isAsSaid = tree[name] === count;
      requireThat(isAsSaid, 0, `its ${kind} tree has ${count} ${name}, not ${tree[name]}`);
    }
  }

  /** Marks pages as used. Returns the first as a number. */
  #take(first: bigint, count: number): number {
    const page = Number(first);
    const isThere = page >= META_COUNT && count >= 1 && page + count - 1 <= this.#lastPage;
    requireThat(isThere, page, `a pointer to it leaves the store, ${this.#lastPage} is the last`);
    // Pages that are free at the end need not be in the file.
    const endBytes = (page + count) * this.#pageBytes;
    requireThat(endBytes <= this.#fileBytes, page, 'it is not there, the file was cut');
    for (let at = page; at < page + count; at += 1) {
      requireThat(this.#used[at] === 0, at, 'two pointers lead to it');
      this.#used[at] = 1;
    }
    return page;
  }

  #checkHeader(bytes: Buffer, page: number, flags: number): void {
    requireThat(bytes.readBigUInt64LE(0) === BigInt(page), page, 'it has another number');
    const isPast = bytes.readBigUInt64LE(8) <= this.#transaction;
    requireThat(isPast, page, 'it is of a later transaction');
    requireThat(bytes.readUInt16LE(18) === flags, page, 'it is of another kind');
  }

  /** Returns the nodes of a tree page, from each one's header to the page's end; keys in order. */
  #readNodes(bytes: Buffer, page: number, isOrdered: boolean): Buffer[] {
    const room = this.#pageBytes - PAGE_HEADER_BYTES;
    const lower = bytes.readUInt16LE(20);
    const upper = bytes.readUInt16LE(22);
    const isSound = lower % 2 === 0 && lower <= upper && upper <= room;
    requireThat(isSound, page, 'the bounds of its free space');
    const body = bytes.subarray(PAGE_HEADER_BYTES);
    const nodes: Buffer[] = [];
    const isBranch = bytes.readUInt16LE(18) === PAGE_FLAGS.branch;
    let last: Buffer | undefined;
    for (let at = 0; at < lower; at += 2) {
      const offset = body.readUInt16LE(at);
      requireThat(offset >= upper && offset + NODE_HEADER_BYTES <= room, page, 'a node leaves it');
      const node = body.subarray(offset);
      requireThat(NODE_HEADER_BYTES + readKeyBytes(node) <= node.length, page, 'a key leaves it');
      const key = readKey(node);
      // The first key of a branch is never looked at.
      if (isOrdered && last !== undefined) {
        requireThat(Buffer.compare(last, key) < 0, page, 'its keys are not in order');
      }
      if (!isBranch || at > 0) last = key;
      nodes.push(node);
    }
    return nodes;
  }

  /** Returns how many pages of its own the value has. */
  #checkValue(node: Buffer, page: number, kind: 'main' | 'free'): bigint {
    const valueBytes = node.readUInt32LE(0);
    const flags = node.readUInt16LE(4);
    const start = NODE_HEADER_BYTES + readKeyBytes(node);
    requireThat((flags & ~BIG_DATA) === 0, page, 'a node is of another kind');
    if (flags === 0) {
      requireThat(start + valueBytes <= node.length, page, 'a value leaves it');
      if (kind === 'free') this.#checkFreeList(node.subarray(start, start + valueBytes), page);
      return 0n;
    }
    requireThat(start + 24 <= node.length, page, 'a pointer leaves it');
    const first = node.readBigUInt64LE(start);
    const count = Math.floor((PAGE_HEADER_BYTES - 1 + valueBytes) / this.#pageBytes) + 1;
    const value = this.#take(first, count);
    const head = this.#readPage(value);
    this.#checkHeader(head, value, PAGE_FLAGS.overflow);
    requireThat(head.readUInt32LE(20) === count, value, 'it is a value of another length');
    if (kind === 'free') this.#checkFreeList(this.#readValue(value, valueBytes), value);
    return BigInt(count);
  }

  /** A count and as many page numbers; a negative one says how many pages in a row follow. */
  #checkFreeList(list: Buffer, page: number): void {
    const count = list.length >= 8 ? Number(list.readBigInt64LE(0)) : -1;
    requireThat(count >= 0 && 8 * (count + 1) <= list.length, page, 'a list of free pages');
    for (let at = 8; at < 8 * (count + 1); at += 8) {
      const entry = Number(list.readBigInt64LE(at));
      const isKnown = Math.abs(entry) <= this.#lastPage;
      const isFree = entry <= 0 || (entry >= META_COUNT && this.#used[entry] === 0);
      requireThat(isKnown && isFree, page, `the list of free pages has page ${entry}`);
    }
  }

  #readValue(page: number, valueBytes: number): Buffer {
    const bytes = Buffer.alloc(valueBytes);
    readSync(this.#descriptor, bytes, 0, valueBytes, page * this.#pageBytes + PAGE_HEADER_BYTES);
    return bytes;
  }

  #readPage(page: number): Buffer {
    const bytes = Buffer.alloc(this.#pageBytes);
    const read = readSync(this.#descriptor, bytes, 0, bytes.length, page * this.#pageBytes);
    if (read < bytes.length) throw new Error(`page ${page} is not there: the file was cut`);
    return bytes;
  }
}

function readTree(bytes: Buffer): Tree {
  return {
    depth: bytes.readUInt16LE(6),
    branchPages: bytes.readBigUInt64LE(8),
    leafPages: bytes.readBigUInt64LE(16),
    overflowPages: bytes.readBigUInt64LE(24),
    entries: bytes.readBigUInt64LE(32),
    root: bytes.readBigUInt64LE(40),
  };
}

function readKeyBytes(node: Buffer): number {
  return node.readUInt16LE(6);
}

function readKey(node: Buffer): Buffer {
  return node.subarray(NODE_HEADER_BYTES, NODE_HEADER_BYTES + readKeyBytes(node));
}

/** 48 bits, where a leaf has the size of its value and flags. */
function readChild(node: Buffer): bigint {
  return BigInt(node.readUInt32LE(0)) | (BigInt(node.readUInt16LE(4)) << 32n);
}
