// Which fields a read returns: names, `*`, dynamic keys. The primary key is always among them.

import type { OutputField } from '../../../codec/rows-to-field-data.ts';
import { invalidParameter } from '../../../model/error.ts';
import {
  DYNAMIC_FIELD_NAME,
  findDynamicField,
  findField,
  getPrimaryKeyField,
  type CollectionSchema,
} from '../../../model/schema.ts';

export interface OutputSelection {
  readonly outputs: readonly OutputField[];
  /** As the reply lists them. */
  readonly names: readonly string[];
  readonly fieldIds: readonly bigint[];
}

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;
const DYNAMIC_KEY = /^\$meta\[(["'])(.*)\1\]$/;

/** @throws MilvusError ParameterInvalid for a field that the schema does not have */
export function selectOutputFields(
  schema: CollectionSchema,
  wanted: readonly string[],
  withPrimaryKey: boolean,
): OutputSelection {
  const dynamic = findDynamicField(schema);
  const names = new Set<string>();
  const dynamicKeys = new Set<string>();
  let isWholeDynamic = false;
  for (const raw of wanted) {
    const name = raw.trim();
    if (name === '*') {
      for (const field of schema.fields) if (!field.isDynamic) names.add(field.name);
      if (dynamic !== undefined) isWholeDynamic = true;
      continue;
    }
    if (name === DYNAMIC_FIELD_NAME && dynamic !== undefined) {
      isWholeDynamic = true;
      continue;
    }
    if (findField(schema, name) !== undefined) {
      names.add(name);
      continue;
    }
    const key = DYNAMIC_KEY.exec(name)?.[2] ?? name;
    if (dynamic === undefined || key === '' || key.includes('[')) {
      throw invalidParameter(`field ${name} not exist`);
    }
    if (key === name && !IDENTIFIER.test(name)) {
      throw invalidParameter(`parse output field name failed: ${name}`);
    }
    dynamicKeys.add(key);
  }
  if (withPrimaryKey) names.add(getPrimaryKeyField(schema).name);
  const outputs: OutputField[] = [];
  for (const name of names) outputs.push({ field: findField(schema, name)! });
  if (dynamic !== undefined && (isWholeDynamic || dynamicKeys.size > 0)) {
    outputs.push(
      isWholeDynamic ? { field: dynamic } : { field: dynamic, dynamicKeys: [...dynamicKeys] },
    );
  }
  const dynamicNames = isWholeDynamic ? [DYNAMIC_FIELD_NAME] : [...dynamicKeys];
  return {
    outputs,
    names: [...names, ...dynamicNames],
    fieldIds: outputs.map(({ field }) => field.fieldId),
  };
}
