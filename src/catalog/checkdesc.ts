import type { Oid } from '../common/ids.ts'
import { builtInLayout } from '../datum/builtin.ts'
import type { TypeDef } from '../datum/typedef.ts'
import type { AttributeLayout } from '../tuple/attribute.ts'
import type { Attribute, TupleDesc } from './tupledesc.ts'

/** A member of a TupleDesc that contradicts another one: its path, `attributes[2].len`, and the problem. */
export interface DescFault {
  path: string
  problem: string
}

/** MaxTupleAttributeNumber (htup_details.h): t_hoff must hold the null bitmap. */
const ATTRIBUTES_MAX = 1664
/** The deepest nesting: composite in array in composite …. Real types are less deep, and every reader of types recurses. */
const DEPTH_MAX = 64
/** Fields of all columns, nested ones counted where they are used: a few types that use each other many times would have billions. */
const FIELDS_MAX = 200_000

/**
 * Whether attributes and types fit each other, for a descriptor whose members have the right types and ranges: every type that is mentioned is
 * there, none contains itself, and copies of a type's length and alignment are equal.
 */
export function checkTupleDesc({ attributes, types }: TupleDesc): DescFault | undefined {
  if (attributes.length > ATTRIBUTES_MAX) return { path: 'attributes', problem: `are ${attributes.length}, a tuple has ${ATTRIBUTES_MAX} at most` }
  const checker = new DescChecker(types)
  try {
    checker.types()
    attributes.forEach((attribute, i) => checker.attribute(attribute, i))
  } catch (error) {
    if (error instanceof FaultFound) return error.fault
    throw error
  }
  return undefined
}

interface TypeTree {
  nodes: number
  height: number
}

class FaultFound extends Error {
  readonly fault: DescFault

  constructor(path: string, problem: string) {
    super(problem)
    this.fault = { path, problem }
  }
}

class DescChecker {
  private readonly list: readonly TypeDef[]
  private readonly byOid = new Map<Oid, TypeDef>()
  private readonly paths = new Map<Oid, string>()
  /** Nodes and height of a type's tree, itself included; undefined while it is being measured. */
  private readonly measured = new Map<Oid, TypeTree | undefined>()
  private fields = 0

  constructor(types: readonly TypeDef[]) {
    this.list = types
  }

  types(): void {
    for (const [i, type] of this.list.entries()) {
      if (this.byOid.has(type.oid)) throw new FaultFound(`types[${i}].oid`, `is ${type.oid}, as another type's`)
      this.byOid.set(type.oid, type)
      this.paths.set(type.oid, `types[${i}]`)
    }
    for (const type of this.list) this.type(type, this.paths.get(type.oid)!)
    for (const type of this.list) this.measure(type)
  }

  attribute(attribute: Attribute, index: number): void {
    const path = `attributes[${index}]`
    const { attnum, type, dropped, len, missing, plain } = attribute
    if (attnum !== index + 1) throw new FaultFound(`${path}.attnum`, `is ${attnum}, not ${index + 1}`)
    if (len > 0 && missing !== undefined && missing.length !== 2 * len) throw new FaultFound(`${path}.missing`, `has not ${len} bytes`)
    if (dropped) {
      if (type.oid !== 0) throw new FaultFound(`${path}.type.oid`, `is ${type.oid} for a dropped attribute`)
      if (missing !== undefined) throw new FaultFound(`${path}.missing`, 'is there for a dropped attribute')
      return
    }
    if (len > 0 && !plain) throw new FaultFound(`${path}.plain`, `is false for a length of ${len}`)
    this.copy(attribute, this.known(type.oid, `${path}.type.oid`), path)
    this.fields += this.measure(this.byOid.get(type.oid)!).nodes
    if (this.fields > FIELDS_MAX) throw new FaultFound(`${path}.type`, `makes more than ${FIELDS_MAX} fields with those before it`)
  }

  private type(type: TypeDef, path: string): void {
    this.builtIn(type, path)
    const { kind, len } = type
    if (kind === 'domain') {
      const base = this.known(type.base!.oid, `${path}.base.oid`)
      this.copy(type, base, path)
      return
    }
    if (kind === 'enum' && len !== 4) throw new FaultFound(`${path}.len`, `is ${len} for an enum, not 4`)
    const isVarlena = kind !== 'base' && kind !== 'pseudo' && kind !== 'enum'
    if (isVarlena && len !== -1) throw new FaultFound(`${path}.len`, `is ${len} for a type of kind ${kind}, not -1`)
    if (type.element !== undefined) this.known(type.element, `${path}.element`)
    if (type.subtype !== undefined) this.subtype(type, `${path}.subtype`)
    for (const [i, field] of (type.fields ?? []).entries()) {
      const at = `${path}.fields[${i}]`
      if (!field.dropped) this.copy(field, this.known(field.type.oid, `${at}.type.oid`), at)
    }
  }

  /** Codecs go by the name of a built-in type, generated code by its oid. */
  private builtIn(type: TypeDef, path: string): void {
    const expected = builtInLayout(type)
    if (!expected) return
    for (const key of ['oid', 'len', 'align'] as const) {
      if (type[key] !== expected[key]) throw new FaultFound(`${path}.${key}`, `is ${type[key]}, but pg_catalog.${type.name} has ${expected[key]}`)
    }
  }

  private subtype({ kind, subtype }: TypeDef, path: string): void {
    const found = this.known(subtype!, path)
    if (kind === 'multirange' && found.kind !== 'range') throw new FaultFound(path, `is ${subtype}, which is no range`)
  }

  /** attlen and attalign are copies of typlen and typalign. */
  private copy(copy: Pick<AttributeLayout, 'len' | 'align'>, type: TypeDef, path: string): void {
    if (copy.len !== type.len) throw new FaultFound(`${path}.len`, `is ${copy.len}, but its type has ${type.len}`)
    if (copy.align !== type.align) throw new FaultFound(`${path}.align`, `is ${copy.align}, but its type has ${type.align}`)
  }

  private known(oid: Oid, path: string): TypeDef {
    const type = this.byOid.get(oid)
    if (!type) throw new FaultFound(path, `is ${oid}, which is not among the types`)
    return type
  }

  private measure(type: TypeDef, depth = 1): TypeTree {
    const path = this.paths.get(type.oid)!
    if (this.measured.has(type.oid)) {
      const known = this.measured.get(type.oid)
      if (known === undefined) throw new FaultFound(path, 'contains itself')
      return known
    }
    if (depth > DEPTH_MAX) throw new FaultFound(path, `is nested more than ${DEPTH_MAX} deep`)
    this.measured.set(type.oid, undefined)
    const tree = { nodes: 1, height: 1 }
    for (const oid of partsOf(type)) {
      const part = this.measure(this.byOid.get(oid)!, depth + 1)
      tree.nodes += part.nodes
      tree.height = Math.max(tree.height, part.height + 1)
    }
    if (tree.height > DEPTH_MAX) throw new FaultFound(path, `is nested more than ${DEPTH_MAX} deep`)
    if (tree.nodes > FIELDS_MAX) throw new FaultFound(path, `has more than ${FIELDS_MAX} fields`)
    this.measured.set(type.oid, tree)
    return tree
  }
}

/** The types that values of `type` are made of. */
function partsOf({ element, base, subtype, fields }: TypeDef): Oid[] {
  const parts = (fields ?? []).filter(({ dropped }) => !dropped).map(({ type }) => type.oid)
  return [...parts, base?.oid, element, subtype].filter((oid) => oid !== undefined)
}
