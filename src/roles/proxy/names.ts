// Names that clients choose: their form, and Milvus' words when they do not have it.

import { ERRORS, MilvusError, invalidParameter } from '../../model/error.ts';

const FIRST = /^[A-Za-z_]/;
const REST = /^[A-Za-z0-9_$]*$/;

export type NameKind = 'collection' | 'alias' | 'database' | 'partition' | 'field' | 'index';

/**
 * Checks a name that a client gives to something new, or looks something up by.
 * @throws MilvusError ParameterInvalid (DatabaseInvalidName, FieldInvalidName) with Milvus' text
 */
export function checkName(kind: NameKind, name: string, bytesMax: number): void {
  if (kind === 'partition') checkPartitionName(name, bytesMax);
  else if (kind === 'index') checkIndexName(name, bytesMax);
  else if (kind === 'field') checkFieldName(name, bytesMax);
  else checkIdentifier(kind, name, bytesMax);
}

function checkIdentifier(
  kind: 'collection' | 'alias' | 'database',
  name: string,
  bytesMax: number,
): void {
  const title = kind === 'alias' ? 'collection alias' : `${kind} name`;
  const refuse = (problem: string): MilvusError => {
    if (kind !== 'database') return invalidParameter(problem);
    const { text } = ERRORS.DatabaseInvalidName;
    return new MilvusError('DatabaseInvalidName', {
      message: `${problem}: ${text}`,
      fields: { database: name },
    });
  };
  const head = kind === 'database' ? '' : `Invalid ${title}: ${name}. `;
  if (name === '') throw refuse(`${title} should not be empty`);
  if (Buffer.byteLength(name) > bytesMax) {
    throw refuse(`${head}the length of a ${title} must be less than ${bytesMax} characters`);
  }
  if (!FIRST.test(name)) {
    throw refuse(`${head}the first character of a ${title} must be an underscore or letter`);
  }
  if (!REST.test(name)) {
    throw refuse(`${head}${title} can only contain numbers, letters and underscores`);
  }
}

function checkFieldName(name: string, bytesMax: number): void {
  const head = `Invalid field name: ${name}. `;
  if (name.trim() === '') throw refuseFieldName(name, 'field name should not be empty');
  if (Buffer.byteLength(name) > bytesMax) {
    throw refuseFieldName(
      name,
      `${head}The length of a field name must be less than ${bytesMax} characters.`,
    );
  }
  if (!FIRST.test(name)) {
    throw refuseFieldName(
      name,
      `${head}The first character of a field name must be an underscore or letter.`,
    );
  }
  if (!REST.test(name)) {
    throw refuseFieldName(
      name,
      `${head}Field name can only contain numbers, letters, and underscores.`,
    );
  }
  if (isReservedFieldName(name)) {
    throw refuseFieldName(name, `${head}${name} is keyword in milvus.`);
  }
}

function refuseFieldName(name: string, problem: string): MilvusError {
  return new MilvusError('FieldInvalidName', {
    message: `${problem}: ${ERRORS.FieldInvalidName.text}`,
    fields: { field: name },
  });
}

function checkPartitionName(name: string, bytesMax: number): void {
  const head = `Invalid partition name: ${name}. `;
  if (name.trim() === '') throw invalidParameter(`${head}Partition name should not be empty.`);
  if (Buffer.byteLength(name) > bytesMax) {
    throw invalidParameter(
      `${head}The length of a partition name must be less than ${bytesMax} characters.`,
    );
  }
  if (!/^[A-Za-z0-9_]/.test(name)) {
    throw invalidParameter(
      `${head}The first character of a partition name must be an underscore or letter.`,
    );
  }
  if (!/^[A-Za-z0-9_$-]*$/.test(name)) {
    throw invalidParameter(
      `${head}Partition name can only contain numbers, letters and underscores.`,
    );
  }
}

/** An empty index name means the default one. */
function checkIndexName(name: string, bytesMax: number): void {
  if (name === '') return;
  const head = `Invalid index name: ${name}. `;
  if (Buffer.byteLength(name) > bytesMax) {
    throw invalidParameter(
      `${head}The length of a index name must be less than ${bytesMax} characters.`,
    );
  }
  if (!FIRST.test(name)) {
    throw invalidParameter(
      `${head}The first character of a index name must be an underscore or letter.`,
    );
  }
  if (!/^[A-Za-z0-9_$[\]]*$/.test(name)) {
    throw invalidParameter(`${head}Index name can only contain numbers, letters, and underscores.`);
  }
}

const RESERVED_FIELD_NAMES = new Set([
  'RowID',
  'Timestamp',
  '$meta',
  '$namespace_id',
  '__virtual_pk__',
  'like',
  'exists',
  'EXISTS',
  'and',
  'or',
  'not',
  'in',
  'json_contains',
  'JSON_CONTAINS',
  'json_contains_all',
  'JSON_CONTAINS_ALL',
  'json_contains_any',
  'JSON_CONTAINS_ANY',
  'array_contains',
  'ARRAY_CONTAINS',
  'array_contains_all',
  'ARRAY_CONTAINS_ALL',
  'array_contains_any',
  'ARRAY_CONTAINS_ANY',
  'array_length',
  'ARRAY_LENGTH',
  'true',
  'True',
  'TRUE',
  'false',
  'False',
  'FALSE',
  'text_match',
  'TEXT_MATCH',
  'phrase_match',
  'PHRASE_MATCH',
  'random_sample',
  'RANDOM_SAMPLE',
]);

/** System fields and words of the filter language. */
function isReservedFieldName(name: string): boolean {
  return RESERVED_FIELD_NAMES.has(name) || name.toLowerCase() === 'null';
}
