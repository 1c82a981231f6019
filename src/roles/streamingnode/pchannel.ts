// One pchannel: a log, the term with which this node owns it, and the shards that write to it.
// Reads the log into them at start-up, cuts it behind them, and has written out what keeps it long
// (R20). Invariant: nothing is cut that one of its shards needs, and no shard of another log has a
// say. Not here: what a shard does with a record.

import { decodeWalTarget } from '../../codec/wal-message.ts';
import type { Logger } from '../../base/logger.ts';
import { nameVchannel, parseVchannel } from '../../model/channel-name.ts';
import type { Peers } from '../../rpc/contract.ts';
import { describeDamage, type LogStore, type Wal, type WalDamage } from '../../wal/wal.ts';
import type { Shard } from './shard.ts';

export interface PchannelDeps {
  readonly logs: LogStore;
  readonly peers: Peers;
  readonly logger: Logger;
  /** Serves without acknowledged records that the log has lost; else their shards are stopped. */
  readonly isDamageAccepted: boolean;
  readonly walBytesMax: number;
}

export class Pchannel {
  readonly term: number;
  readonly wal: Wal;
  readonly #deps: PchannelDeps;
  readonly #name: string;
  /** By vchannel. */
  readonly #shards = new Map<string, Shard>();
  #truncating: Promise<void> = Promise.resolve();
  #isClosing = false;
  #isDamaged = false;

  private constructor(deps: PchannelDeps, name: string, term: number, wal: Wal) {
    this.#deps = deps;
    this.#name = name;
    this.term = term;
    this.wal = wal;
  }

  /** Becomes its owner: from here on whoever owned it neither appends nor commits (R14). */
  static async open(deps: PchannelDeps, name: string): Promise<Pchannel> {
    const { term } = await deps.peers.datacoord.openPchannel({ pchannel: name }, {});
    return new Pchannel(deps, name, term, await deps.logs.open(name, term));
  }

  /** Some of its records are lost, and nobody knows whose they were. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  add(shard: Shard): void {
    this.#shards.set(shard.vchannel, shard);
  }

  /** What the shard has in the log is not needed any more. */
  remove({ vchannel }: Shard): void {
    this.#shards.delete(vchannel);
  }

  /** One pass for all shards. What the log has lost stops those that may have been in it. */
  async replay(): Promise<void> {
    const onDamage = (damage: WalDamage): void =>
      this.#meetDamage(damage.to, describeDamage(damage), damage.prefixes);
    for await (const { position, place, record } of this.wal.read(0n, onDamage)) {
      const vchannel = this.#readVchannel(record);
      if (vchannel === undefined) {
        this.#meetDamage(position, `${place}: a record of an unknown form`);
        continue;
      }
      // Records of collections that are gone stay until the log is cut.
      this.#shards.get(vchannel)?.replay(record, position, place);
    }
  }

  /** Drops what no shard needs, after what is being dropped now. */
  truncate(): void {
    this.#truncating = this.#truncating.then(async () => {
      if (this.#isClosing) return;
      let before = this.wal.lastPosition() + 1n;
      for (const shard of this.#shards.values()) {
        const needed = shard.neededFrom();
        if (needed < before) before = needed;
      }
      await this.wal.truncate(before).catch((error: unknown) => {
        this.#deps.logger.warn({ error }, 'WAL not cut; the next checkpoint tries again');
      });
    });
  }

  get isLong(): boolean {
    return this.wal.bytes() > this.#deps.walBytesMax;
  }

  /** Has the shard that needs the oldest part write that out; whether it has. */
  async writeOldest(): Promise<boolean> {
    let oldestNeeded = this.wal.lastPosition();
    let oldest: Shard | undefined;
    for (const shard of this.#shards.values()) {
      const needed = shard.neededFrom();
      if (needed >= oldestNeeded) continue;
      oldestNeeded = needed;
      oldest = shard;
    }
    const isWritten = (await oldest?.writeOldest()) ?? false;
    await this.#truncating;
    return isWritten;
  }

  /** Stops without writing anything: the log has it all. */
  async close(): Promise<void> {
    // A closed shard no longer says what it needs of the log: from here on nothing is cut.
    this.#isClosing = true;
    for (const shard of this.#shards.values()) await shard.close();
    await this.#truncating;
    await this.wal.close();
  }

  /** Records up to `to` are missing: those that began so, or nobody knows which. */
  #meetDamage(to: bigint, reason: string, prefixes: readonly Uint8Array[] = []): void {
    const known = prefixes.map((prefix) => this.#readVchannel(prefix));
    const isKnown = known.length > 0 && !known.includes(undefined);
    if (!isKnown) this.#isDamaged = true;
    if (this.#deps.isDamageAccepted) {
      this.#deps.logger.warn({ reason }, 'damage in the WAL accepted by setting');
      return;
    }
    for (const shard of this.#shards.values()) {
      if (!isKnown || known.includes(shard.vchannel)) shard.replayDamage(to, reason);
    }
  }

  /** Older logs kept the name of the vchannel beside the record. */
  #readVchannel(prefix: Uint8Array): string | undefined {
    const target = decodeWalTarget(prefix);
    if (target !== undefined) return nameVchannel({ pchannel: this.#name, ...target });
    const name = Buffer.from(prefix).toString('utf8');
    return parseVchannel(name) === undefined ? undefined : name;
  }
}
