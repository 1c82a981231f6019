// Remembers compiled filters, least recently used out first: clients send the same few texts again
// and again. A text means one thing per collection and schema version; filters with templates are
// not kept.

import { compileFilter } from './compile.ts';
import { encodePlanInTurns } from './encode-plan.ts';
import type { FilterSchema } from './filter-schema.ts';
import type { TemplateValue } from '../model/template-value.ts';
import { readLongLists } from './list-reader.ts';
import type { PlanNode } from './plan.ts';

/** As many as Milvus keeps. */
const ENTRIES_MAX = 1024;
/** Longer texts are mostly lists of ids, which do not come again; this bounds the cache's bytes. */
const TEXT_LENGTH_MAX = 4096;

const NO_TEMPLATES: ReadonlyMap<string, TemplateValue> = new Map();

/** A filter ready to be sent: the plan, and the same as bytes for native. */
export class CompiledFilter {
  readonly plan: PlanNode;
  #bytes: Promise<Uint8Array> | undefined;

  constructor(plan: PlanNode) {
    this.plan = plan;
  }

  /** Made when first asked for: a filter that only lists keys is not evaluated. */
  encode(): Promise<Uint8Array> {
    return (this.#bytes ??= encodePlanInTurns(this.plan));
  }
}

export interface FilterRequest {
  readonly text: string;
  readonly collectionId: bigint;
  /** Changes whenever `schema` does. */
  readonly schemaVersion: number | bigint;
  readonly schema: FilterSchema;
  readonly templates?: ReadonlyMap<string, TemplateValue>;
}

export class PlanCache {
  private readonly entriesMax: number;
  /** In order of use, oldest first. */
  private readonly entries = new Map<string, CompiledFilter>();

  constructor(entriesMax: number = ENTRIES_MAX) {
    this.entriesMax = entriesMax;
  }

  get size(): number {
    return this.entries.size;
  }

  /**
   * Returns the compiled filter, from the cache if it is there. Callers must not change it. Long
   * lists take several turns of the event loop.
   * @throws MilvusError ParameterInvalid as compileFilter; failures are not kept
   */
  async compile(request: FilterRequest): Promise<CompiledFilter> {
    const { text, schema, templates = NO_TEMPLATES } = request;
    const isKept = templates.size === 0 && text.length <= TEXT_LENGTH_MAX;
    if (!isKept) {
      const lists = await readLongLists(text);
      return new CompiledFilter(compileFilter(text, schema, templates, lists));
    }
    const key = `${request.collectionId}/${request.schemaVersion}/${text}`;
    const found = this.entries.get(key);
    const compiled = found ?? new CompiledFilter(compileFilter(text, schema, templates));
    if (found !== undefined) this.entries.delete(key);
    this.entries.set(key, compiled);
    if (this.entries.size > this.entriesMax) this.dropOldest();
    return compiled;
  }

  private dropOldest(): void {
    const [oldest] = this.entries.keys();
    if (oldest !== undefined) this.entries.delete(oldest);
  }
}
