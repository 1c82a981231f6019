// Compares proto/milvus with the descriptors that released pymilvus versions carry.
//
// A field with a wrong number or type corrupts data without an error, so nothing here is checked by
// eye. Invariant: whatever a client has, we have exactly; we may have more.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import protoLoader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

import { pythonEnvNames, pythonOrSkip } from './python-env.ts';
import type { PythonEnvName } from './python-env.ts';

/** What dump_descriptors.py prints; names are full, without a leading dot. */
interface Dump {
  readonly messages: Record<string, { fields: DumpField[]; map_entry: boolean }>;
  readonly enums: Record<string, { values: Record<string, number> }>;
  readonly services: Record<string, Record<string, DumpMethod>>;
}

interface DumpField {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly label: 'optional' | 'required' | 'repeated';
  readonly type_name: string;
  readonly oneof: string | null;
  readonly proto3_optional: boolean;
}

interface DumpMethod {
  readonly input: string;
  readonly output: string;
  readonly client_streaming: boolean;
  readonly server_streaming: boolean;
}

/**
 * Differences that do no harm, each with its reason. An entry that no longer occurs fails the test,
 * so the list cannot outlive its cause.
 */
const knownDifferences: Record<PythonEnvName, Record<string, string>> = {
  '2.5': {
    ['milvus.proto.milvus.SearchRequest.placeholder_group: ' +
      'theirs 6 bytes, ours 6 bytes oneof search_input']:
      'Search by ids came with 2.6 and put the vectors into a oneof; the bytes sent are the same.',
  },
  '2.6': {},
  '3.0': {},
};

const protoDir = join(process.cwd(), 'proto', 'milvus');
const protoFiles = ['common', 'schema', 'msg', 'feder', 'rg', 'milvus', 'tokenizer'].map(
  (name) => `${name}.proto`,
);

/** All files in one reflection root, every type reference resolved. */
function loadOurs(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(protoDir, target);
  root.loadSync(protoFiles, { keepCase: true });
  return root.resolveAll() as protobuf.Root;
}

/** The object at a full name, or undefined; unlike lookup(), never searches parent scopes. */
function find(root: protobuf.Root, fullName: string): protobuf.ReflectionObject | undefined {
  let at: protobuf.ReflectionObject | null = root;
  for (const part of fullName.split('.')) {
    if (!(at instanceof protobuf.Namespace)) return undefined;
    at = at.get(part);
  }
  return at ?? undefined;
}

const plain = (fullName: string): string => fullName.replace(/^\./, '');

/** One line per field with all that matters on the wire: label, number, type, oneof. */
function describeOurs(field: protobuf.Field): string {
  const resolved = field.resolvedType;
  const type = resolved === null
    ? field.type
    : `${resolved instanceof protobuf.Enum ? 'enum' : 'message'} ${plain(resolved.fullName)}`;
  if (field instanceof protobuf.MapField) return `${field.id} map<${field.keyType}, ${type}>`;
  const label = field.repeated ? 'repeated ' : field.partOf?.isProto3Optional ? 'optional ' : '';
  const oneof = field.partOf && !field.partOf.isProto3Optional ? ` oneof ${field.partOf.name}` : '';
  return `${field.id} ${label}${type}${oneof}`;
}

function describeTheirs(field: DumpField, dump: Dump): string {
  const type = (f: DumpField): string => (f.type_name === '' ? f.type : `${f.type} ${f.type_name}`);
  const entry = dump.messages[field.type_name];
  if (field.type === 'message' && entry?.map_entry === true) {
    const [key, value] = entry.fields;
    assert.ok(key !== undefined && value !== undefined);
    return `${field.number} map<${type(key)}, ${type(value)}>`;
  }
  // proto3 has no required; a label other than these would be a difference, so it is shown.
  const label = field.label !== 'optional'
    ? `${field.label} `
    : field.proto3_optional ? 'optional ' : '';
  const oneof = field.oneof === null ? '' : ` oneof ${field.oneof}`;
  return `${field.number} ${label}${type(field)}${oneof}`;
}

function compareMessages(dump: Dump, ours: protobuf.Root): string[] {
  const differences: string[] = [];
  for (const [name, message] of Object.entries(dump.messages)) {
    if (message.map_entry) continue;
    const type = find(ours, name);
    if (!(type instanceof protobuf.Type)) {
      differences.push(`${name}: we lack this message`);
      continue;
    }
    for (const field of message.fields) {
      const mine = type.fields[field.name];
      const left = describeTheirs(field, dump);
      const right = mine === undefined ? 'none' : describeOurs(mine);
      if (left !== right) differences.push(`${name}.${field.name}: theirs ${left}, ours ${right}`);
    }
  }
  return differences;
}

function compareEnums(dump: Dump, ours: protobuf.Root): string[] {
  const differences: string[] = [];
  for (const [name, { values }] of Object.entries(dump.enums)) {
    const mine = find(ours, name);
    if (!(mine instanceof protobuf.Enum)) {
      differences.push(`${name}: we lack this enum`);
      continue;
    }
    for (const [key, number] of Object.entries(values)) {
      const own = mine.values[key];
      if (own !== number) differences.push(`${name}.${key}: theirs ${number}, ours ${own}`);
    }
  }
  return differences;
}

function compareServices(dump: Dump, ours: protobuf.Root): string[] {
  const differences: string[] = [];
  const line = (input: string, output: string, up: boolean, down: boolean): string =>
    `(${up ? 'stream ' : ''}${input}) returns (${down ? 'stream ' : ''}${output})`;
  for (const [name, methods] of Object.entries(dump.services)) {
    const service = find(ours, name);
    if (!(service instanceof protobuf.Service)) {
      differences.push(`${name}: we lack this service`);
      continue;
    }
    for (const [key, m] of Object.entries(methods)) {
      const left = line(m.input, m.output, m.client_streaming, m.server_streaming);
      const mine = service.methods[key];
      const right = mine === undefined
        ? 'none'
        : line(
            plain(mine.resolvedRequestType?.fullName ?? '?'),
            plain(mine.resolvedResponseType?.fullName ?? '?'),
            mine.requestStream === true,
            mine.responseStream === true,
          );
      if (left !== right) differences.push(`${name}/${key}: theirs ${left}, ours ${right}`);
    }
  }
  return differences;
}

function dumpOf(python: string): Dump {
  const script = join(process.cwd(), 'test', 'clients', 'dump_descriptors.py');
  const run = spawnSync(python, [script], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  assert.equal(run.status, 0, `dump_descriptors.py failed:\n${run.stderr}`);
  return JSON.parse(run.stdout) as Dump;
}

for (const name of pythonEnvNames) {
  test(`the protocol files agree with pymilvus ${name}`, (t) => {
    const python = pythonOrSkip(t, name);
    if (python === undefined) return;
    const dump = dumpOf(python);
    // An empty dump would agree with anything.
    assert.ok(Object.keys(dump.messages).length > 250, 'the dump of pymilvus is too small');
    assert.ok('milvus.proto.milvus.MilvusService' in dump.services);

    const ours = loadOurs();
    const found = [
      ...compareMessages(dump, ours),
      ...compareEnums(dump, ours),
      ...compareServices(dump, ours),
    ];
    const known = Object.keys(knownDifferences[name]);
    const wrong = found.filter((line) => !known.includes(line));
    const stale = known.filter((line) => !found.includes(line));
    const report = [...wrong, ...stale.map((line) => `no longer differs: ${line}`)];
    assert.ok(report.length === 0, `${report.length} differences:\n${report.join('\n')}`);
  });
}

test('the gRPC loader finds every service and its streaming calls', () => {
  const options = { includeDirs: [protoDir], keepCase: true };
  const loaded = protoLoader.loadSync(['milvus.proto', 'tokenizer.proto'], options);
  const methodsOf = (name: string): Record<string, protoLoader.MethodDefinition<object, object>> =>
    loaded[name] as Record<string, protoLoader.MethodDefinition<object, object>>;

  const main = methodsOf('milvus.proto.milvus.MilvusService');
  assert.equal(main['Search']?.path, '/milvus.proto.milvus.MilvusService/Search');
  const streaming = Object.entries(main)
    .filter(([, method]) => method.requestStream || method.responseStream)
    .map(([name]) => name);
  assert.deepEqual(streaming.sort(), ['CreateReplicateStream', 'DumpMessages']);
  assert.ok('RegisterLink' in methodsOf('milvus.proto.milvus.ProxyService'));
  assert.ok('ClientHeartbeat' in methodsOf('milvus.proto.milvus.ClientTelemetryService'));
  assert.ok('Tokenize' in methodsOf('milvus.proto.tokenizer.Tokenizer'));
});
