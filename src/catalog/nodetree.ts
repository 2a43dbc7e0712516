import { CorruptionError } from '../common/errors.ts'

/*
 * pg_node_tree (outfuncs.c, read.c): `{TYPE :field value …}`, lists `(…)`, `(o 1 2)` of oids, `(i …)` of integers, `<>` for nothing, and a
 * constant's datum as its length and its bytes as signed numbers: `4 [ 1 0 0 0 0 0 0 0 ]`. A backslash keeps the next character.
 */

export interface Node {
  type: string
  fields: ReadonlyMap<string, NodeValue>
}

export type NodeValue = Node | NodeList | Datum | string | null

export interface NodeList {
  items: readonly NodeValue[]
}

export interface Datum {
  /** As it is in memory: fixed values by value fill eight bytes, varlenas have their header. */
  bytes: Uint8Array
}

/** @throws CorruptionError catalog.node-tree */
export function parseNodeTree(text: string): NodeValue {
  const reader = new NodeReader(text)
  const value = reader.value()
  if (!reader.atEnd()) throw corrupt('more than one tree')
  return value
}

/** A server refuses deeper expressions by max_stack_depth: a sum of some thousand terms. */
const MAX_DEPTH = 2000

class NodeReader {
  private readonly tokens: readonly string[]
  private at = 0
  private depth = 0

  constructor(text: string) {
    // pg_strtok: brackets and braces are tokens of their own.
    this.tokens = text.match(/[(){}]|(?:\\[\s\S]|[^\\\s(){}])+/g) ?? []
  }

  atEnd(): boolean {
    return this.at === this.tokens.length
  }

  value(): NodeValue {
    const token = this.take()
    if (token === '{') return this.nested(() => this.node())
    if (token === '(') return this.nested(() => this.list())
    if (token === '<>') return null
    return this.tokens[this.at] === '[' ? this.datum(token) : token.replace(/\\([\s\S])/g, '$1')
  }

  private node(): Node {
    const type = this.take()
    const fields = new Map<string, NodeValue>()
    for (let token = this.take(); token !== '}'; token = this.take()) {
      if (!token.startsWith(':')) throw corrupt(`'${token}' where a field is to begin`)
      fields.set(token.slice(1), this.value())
    }
    return { type, fields }
  }

  private list(): NodeList {
    const items: NodeValue[] = []
    while (this.tokens[this.at] !== ')') items.push(this.value())
    this.at++
    return { items }
  }

  private datum(length: string): Datum {
    this.at++
    const bytes: number[] = []
    for (let token = this.take(); token !== ']'; token = this.take()) {
      if (!/^-?\d{1,3}$/.test(token)) throw corrupt(`'${token}' in a datum`)
      bytes.push(Number(token) & 0xff)
    }
    if (Number(length) > bytes.length) throw corrupt(`a datum of ${length} bytes has ${bytes.length}`)
    return { bytes: Uint8Array.from(bytes) }
  }

  private nested<T>(read: () => T): T {
    if (++this.depth > MAX_DEPTH) throw corrupt('nested too deeply')
    const value = read()
    this.depth--
    return value
  }

  private take(): string {
    const token = this.tokens[this.at++]
    if (token === undefined) throw corrupt('it ends too early')
    return token
  }
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('catalog.node-tree', `no expression tree: ${reason}`)
}
