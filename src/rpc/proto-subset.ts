// The part of a protobufjs JSON description that one message type reaches, as a description of its
// own. Names are looked up as protobuf says: from the innermost scope outwards.

import type { INamespace } from 'protobufjs';

/** A node of the description: a package, a message type or an enum. */
interface Node {
  readonly nested?: Record<string, Node>;
  readonly fields?: Record<string, { readonly type: string }>;
  readonly values?: object;
}

export interface ProtoSubset {
  readonly json: INamespace;
  /** Of the type asked for, without a leading dot. */
  readonly fullName: string;
}

/**
 * @param scope  full name of the package or type that `name` is written in; '' = the root
 * @throws Error when there is no such type
 */
export function selectTypes(json: INamespace, scope: string, name: string): ProtoSubset {
  const root = json as unknown as Node;
  const fullName = findType(root, scope, name);
  if (fullName === undefined) throw new Error(`protobuf type ${name} is not in the description`);
  const selected: Record<string, Node> = {};
  const waiting = [fullName];
  const seen = new Set(waiting);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const outermost = addType(root, selected, next);
    for (const found of listReferences(root, outermost.name, outermost.node)) {
      if (seen.has(found)) continue;
      seen.add(found);
      waiting.push(found);
    }
  }
  return { json: { nested: selected } as unknown as INamespace, fullName };
}

/**
 * Copies the path to a type, and the type whole; a type inside another comes with the outer one.
 */
function addType(
  root: Node,
  into: Record<string, Node>,
  fullName: string,
): { name: string; node: Node } {
  const names = fullName.split('.');
  let from = root;
  let target = into;
  for (const [depth, name] of names.entries()) {
    from = from.nested![name]!;
    if (isType(from)) {
      target[name] = from;
      return { name: names.slice(0, depth + 1).join('.'), node: from };
    }
    target[name] ??= { nested: {} };
    target = target[name].nested!;
  }
  throw new Error(`${fullName} is a package, not a type`);
}

/**
 * Full names of the types of a type's fields, and of those inside it. Scalars are found nowhere.
 */
function* listReferences(root: Node, name: string, node: Node): Generator<string> {
  for (const { type } of Object.values(node.fields ?? {})) {
    const found = findType(root, name, type);
    if (found !== undefined) yield found;
  }
  for (const [child, inner] of Object.entries(node.nested ?? {})) {
    yield* listReferences(root, `${name}.${child}`, inner);
  }
}

function findType(root: Node, scope: string, name: string): string | undefined {
  if (name.startsWith('.')) return findNode(root, name.slice(1));
  const scopes = scope === '' ? [] : scope.split('.');
  for (let depth = scopes.length; depth >= 0; depth--) {
    const found = findNode(root, [...scopes.slice(0, depth), name].join('.'));
    if (found !== undefined) return found;
  }
  return undefined;
}

function findNode(root: Node, fullName: string): string | undefined {
  let node: Node | undefined = root;
  for (const name of fullName.split('.')) node = node?.nested?.[name];
  return node !== undefined && isType(node) ? fullName : undefined;
}

function isType(node: Node): boolean {
  return node.fields !== undefined || node.values !== undefined;
}
