import { ByteWriter } from '../common/bytes.ts'
import type { Oid } from '../common/ids.ts'
import { utf8Decode } from '../common/utf8.ts'
import { payloadStart } from '../tuple/varlena.ts'
import { functionSyntax } from './deparsesyntax.ts'
import { type Node, type NodeValue, parseNodeTree } from './nodetree.ts'
import { quoteIdentifier } from './sqlname.ts'

/** What names the oids of an expression; undefined for an oid that the catalogs do not have. */
export interface DeparseNames {
  /** attname of the expression's own relation. */
  attribute: (attnum: number) => string | undefined
  /** Qualified where pg_catalog's search would not find it. */
  operator: (oid: Oid) => string | undefined
  function: (oid: Oid) => { name: string; builtIn: boolean } | undefined
  collation: (oid: Oid) => string | undefined
  /** format_type_with_typemod. */
  type: (oid: Oid, typmod: number) => string | undefined
  /** Output text of a value, its payload; undefined for types whose text is not Postgres's own here. */
  value: (type: Oid, payload: Uint8Array, out: ByteWriter) => boolean
  /** typlen. */
  length: (type: Oid) => number | undefined
}

/** A node of an expression that is not written as SQL here. */
class Unknown extends Error {}

/**
 * pg_get_expr (ruleutils.c) of a generated column: the text that a server gives with DateStyle ISO, TimeZone UTC and the default search path.
 * @returns undefined if there is a node that is not known here: nothing is guessed
 * @throws CorruptionError catalog.node-tree
 */
export function deparseExpression(tree: string, names: DeparseNames): string | undefined {
  const node = parseNodeTree(tree)
  const deparser = new Deparser(names)
  try {
    deparser.rule(node, false)
    return deparser.text
  } catch (error) {
    if (error instanceof Unknown) return undefined
    throw error
  }
}

const IMPLICIT_CAST = '2'
const EXPLICIT_CAST = '1'
const SQL_SYNTAX = '3'
const INDENT = 4

/** substring(text, text): SUBSTRING(x FROM pattern) is stored as that, and given back as a call. */
const SUBSTRING_BY_PATTERN = 2073

const BOOL = 16
const INT4 = 23
const TEXT_COLLATION = 100
const NUMERIC = 1700

const BOOLEAN_TESTS = ['IS TRUE', 'IS NOT TRUE', 'IS FALSE', 'IS NOT FALSE', 'IS UNKNOWN', 'IS NOT UNKNOWN']

/** Writes what get_rule_expr writes, with PRETTYFLAG_INDENT and without PRETTYFLAG_PAREN, as pg_get_expr does. */
class Deparser {
  text = ''
  private readonly names: DeparseNames
  private indent = 0

  constructor(names: DeparseNames) {
    this.names = names
  }

  /** get_rule_expr. @param showImplicit casts that Postgres added itself are shown */
  rule(value: NodeValue | undefined, showImplicit: boolean): void {
    if (!isNode(value)) throw new Unknown()
    const args = (): readonly NodeValue[] => list(value, 'args')
    switch (value.type) {
      case 'VAR':
        return this.variable(value)
      case 'CONST':
        return this.constant(value, 0)
      case 'OPEXPR':
        return this.operator(value, args())
      case 'DISTINCTEXPR':
        return this.binary(args(), 'IS DISTINCT FROM')
      case 'NULLIFEXPR':
        return this.call('NULLIF', args())
      case 'COALESCEEXPR':
        return this.call('COALESCE', args())
      case 'MINMAXEXPR':
        return this.call(text(value, 'op') === '0' ? 'GREATEST' : 'LEAST', args())
      case 'SCALARARRAYOPEXPR':
        return this.scalarArray(value, args())
      case 'BOOLEXPR':
        return this.boolean(value, args())
      case 'FUNCEXPR':
        return this.functionCall(value, args(), showImplicit)
      case 'RELABELTYPE':
        return this.coercion(value, 'relabelformat', number(value, 'resulttypmod'), showImplicit)
      case 'COERCEVIAIO':
        return this.coercion(value, 'coerceformat', -1, showImplicit)
      case 'ARRAYCOERCEEXPR':
        return this.coercion(value, 'coerceformat', number(value, 'resulttypmod'), showImplicit)
      case 'CASEEXPR':
        return this.caseExpression(value, args())
      case 'ARRAYEXPR':
        return this.array(value)
      case 'SUBSCRIPTINGREF':
        return this.subscript(value, showImplicit)
      case 'NULLTEST':
        return this.test(value, true, text(value, 'nulltesttype') === '0' ? 'IS NULL' : 'IS NOT NULL', text(value, 'argisrow') === 'false')
      case 'BOOLEANTEST':
        return this.test(value, false, BOOLEAN_TESTS[number(value, 'booltesttype')], true)
      case 'COLLATEEXPR':
        return this.test(value, showImplicit, `COLLATE ${known(this.names.collation(number(value, 'collOid')))}`, true)
      default:
        throw new Unknown()
    }
  }

  /** Comma separated. */
  rules(values: readonly NodeValue[], showImplicit: boolean): void {
    for (const [i, value] of values.entries()) {
      if (i > 0) this.text += ', '
      this.rule(value, showImplicit)
    }
  }

  private variable(node: Node): void {
    if (text(node, 'varlevelsup') !== '0' || text(node, 'varreturningtype') !== '0') throw new Unknown()
    this.text += quoteIdentifier(known(this.names.attribute(number(node, 'varattno'))))
  }

  private call(name: string, args: readonly NodeValue[]): void {
    this.text += `${name}(`
    this.rules(args, true)
    this.text += ')'
  }

  private binary([left, right]: readonly NodeValue[], operator: string): void {
    this.text += '('
    this.rule(left, true)
    this.text += ` ${operator} `
    this.rule(right, true)
    this.text += ')'
  }

  private operator(node: Node, args: readonly NodeValue[]): void {
    const operator = known(this.names.operator(number(node, 'opno')))
    if (args.length === 2) return this.binary(args, operator)
    this.text += `(${operator} `
    this.rule(args[0], true)
    this.text += ')'
  }

  private scalarArray(node: Node, [scalar, array]: readonly NodeValue[]): void {
    this.text += '('
    this.rule(scalar, true)
    this.text += ` ${known(this.names.operator(number(node, 'opno')))} ${text(node, 'useOr') === 'true' ? 'ANY' : 'ALL'} (`
    this.rule(array, true)
    this.text += '))'
  }

  private boolean(node: Node, args: readonly NodeValue[]): void {
    const operator = text(node, 'boolop')
    this.text += operator === 'not' ? '(NOT ' : '('
    for (const [i, arg] of args.entries()) {
      if (i > 0) this.text += operator === 'and' ? ' AND ' : ' OR '
      this.rule(arg, false)
    }
    this.text += ')'
  }

  private test(node: Node, showImplicit: boolean, test: string | undefined, isPlain: boolean): void {
    if (!isPlain) throw new Unknown()
    this.text += '('
    this.rule(node.fields.get('arg'), showImplicit)
    this.text += ` ${known(test)})`
  }

  private array(node: Node): void {
    const elements = list(node, 'elements')
    this.text += 'ARRAY['
    this.rules(elements, true)
    this.text += ']'
    if (elements.length === 0) this.text += `::${this.type(number(node, 'array_typeid'), -1)}`
  }

  private subscript(node: Node, showImplicit: boolean): void {
    const container = node.fields.get('refexpr')
    const isVariable = isNode(container) && container.type === 'VAR'
    if (!isVariable) this.text += '('
    this.rule(container, showImplicit)
    if (!isVariable) this.text += ')'
    const upper = list(node, 'refupperindexpr')
    const lower = list(node, 'reflowerindexpr')
    if (node.fields.get('refassgnexpr') !== null || (lower.length > 0 && lower.length !== upper.length)) throw new Unknown()
    for (const [i, bound] of upper.entries()) {
      this.text += '['
      if (lower.length > 0) {
        if (lower[i] !== null) this.rule(lower[i], false)
        this.text += ':'
      }
      if (bound !== null) this.rule(bound, false)
      this.text += ']'
    }
  }

  private caseExpression(node: Node, whens: readonly NodeValue[]): void {
    const subject = node.fields.get('arg')
    this.keyword('CASE', 0, INDENT)
    if (subject !== null) {
      this.text += ' '
      this.rule(subject, true)
    }
    for (const when of whens) {
      if (!isNode(when) || when.type !== 'CASEWHEN') throw new Unknown()
      const condition = when.fields.get('expr')
      this.keyword('WHEN ', 0, 0)
      this.rule(subject === null ? condition : comparedWith(condition), false)
      this.text += ' THEN '
      this.rule(when.fields.get('result'), true)
    }
    this.keyword('ELSE ', 0, 0)
    this.rule(node.fields.get('defresult'), true)
    this.keyword('END', -INDENT, 0)
  }

  /** appendContextKeyword. */
  private keyword(word: string, before: number, after: number): void {
    this.indent += before
    // PRETTYINDENT_LIMIT: deeper than that it no longer indents by the full level.
    if (this.indent >= 40) throw new Unknown()
    this.text = `${this.text.replace(/ +$/, '')}\n${' '.repeat(this.indent)}${word}`
    this.indent += after
  }

  private functionCall(node: Node, args: readonly NodeValue[], showImplicit: boolean): void {
    const format = text(node, 'funcformat')
    if (format === IMPLICIT_CAST && !showImplicit) return this.rule(args[0], false)
    const typmod = lengthCoercion(args)
    if (format === EXPLICIT_CAST || format === IMPLICIT_CAST) return this.cast(args[0], number(node, 'funcresulttype'), typmod)
    const { name, builtIn } = known(this.names.function(number(node, 'funcid')))
    if (format === SQL_SYNTAX && number(node, 'funcid') !== SUBSTRING_BY_PATTERN) {
      if (!builtIn || !functionSyntax(name, number(node, 'funcid'), args, this)) throw new Unknown()
      return
    }
    if (text(node, 'funcvariadic') === 'true') throw new Unknown()
    this.call(name, args)
  }

  private coercion(node: Node, format: string, typmod: number, showImplicit: boolean): void {
    const arg = node.fields.get('arg')
    if (text(node, format) === IMPLICIT_CAST && !showImplicit) return this.rule(arg, false)
    this.cast(arg, number(node, 'resulttype'), typmod)
  }

  /** get_coercion_expr. */
  private cast(arg: NodeValue | undefined, type: Oid, typmod: number): void {
    if (isNode(arg) && arg.type === 'CONST' && number(arg, 'consttype') === type && number(arg, 'consttypmod') === -1) {
      this.constant(arg, -1)
    } else {
      this.text += '('
      this.rule(arg, false)
      this.text += ')'
    }
    this.text += `::${this.type(type, typmod)}`
  }

  /** get_const_expr. @param showType -1 never, 0 where the text alone would be of another type */
  private constant(node: Node, showType: -1 | 0): void {
    const type = number(node, 'consttype')
    const typmod = number(node, 'consttypmod')
    const collation = number(node, 'constcollid')
    if (collation !== 0 && collation !== TEXT_COLLATION) throw new Unknown()
    if (text(node, 'constisnull') === 'true') {
      this.text += showType < 0 ? 'NULL' : `NULL::${this.type(type, typmod)}`
      return
    }
    const value = this.constantText(node, type)
    const isPlain = type === INT4 ? !value.startsWith('-') : type === NUMERIC ? /^\d.*[eE.]/.test(value) : type === BOOL
    if (type === BOOL) this.text += value === 't' || value === 'true' ? 'true' : 'false'
    else this.text += isPlain ? value : `'${value.replaceAll("'", "''")}'`
    const needsLabel = type === NUMERIC ? !isPlain || typmod >= 0 : !isPlain
    if (showType === 0 && needsLabel) this.text += `::${this.type(type, typmod)}`
  }

  /** The word of EXTRACT(word FROM …), which is stored as a text constant. */
  word(value: NodeValue | undefined): void {
    if (!isNode(value) || value.type !== 'CONST') throw new Unknown()
    this.text += this.constantText(value, number(value, 'consttype'))
  }

  /** What the type's output function writes. */
  private constantText(node: Node, type: Oid): string {
    const datum = node.fields.get('constvalue')
    const length = known(this.names.length(type))
    if (datum === null || typeof datum !== 'object' || !('bytes' in datum) || length < -1) throw new Unknown()
    const { bytes } = datum
    const out = new ByteWriter(64)
    // A constant is neither compressed nor out of line.
    const payload = length === -1 ? bytes.subarray(payloadStart(bytes, 0)) : bytes.subarray(0, length)
    if (!this.names.value(type, payload, out)) throw new Unknown()
    return utf8Decode(out.take())
  }

  private type(oid: Oid, typmod: number): string {
    return known(this.names.type(oid, typmod))
  }
}

/** exprIsLengthCoercion: the typmod that a cast function is given. */
function lengthCoercion(args: readonly NodeValue[]): number {
  const [, typmod] = args
  if (args.length < 2 || args.length > 3 || !isNode(typmod) || typmod.type !== 'CONST' || number(typmod, 'consttype') !== INT4) return -1
  const datum = typmod.fields.get('constvalue')
  if (datum === null || typeof datum !== 'object' || !('bytes' in datum)) return -1
  return new DataView(datum.bytes.buffer, datum.bytes.byteOffset).getInt32(0, true)
}

/** WHEN of a CASE with a subject is stored as `subject = value`: value. */
function comparedWith(condition: NodeValue | undefined): NodeValue | undefined {
  if (!isNode(condition) || condition.type !== 'OPEXPR') return condition
  const args = list(condition, 'args')
  return args.length === 2 && isCaseTest(args[0]) ? args[1] : condition
}

function isCaseTest(value: NodeValue | undefined): boolean {
  if (!isNode(value)) return false
  if (value.type === 'CASETESTEXPR') return true
  if (value.type === 'RELABELTYPE') return text(value, 'relabelformat') === IMPLICIT_CAST && isCaseTest(value.fields.get('arg'))
  return value.type === 'FUNCEXPR' && text(value, 'funcformat') === IMPLICIT_CAST && isCaseTest(list(value, 'args')[0])
}

function isNode(value: NodeValue | undefined): value is Node {
  return value !== null && typeof value === 'object' && 'fields' in value
}

function list(node: Node, field: string): readonly NodeValue[] {
  const value = node.fields.get(field)
  if (value === null) return []
  if (typeof value !== 'object' || !('items' in value)) throw new Unknown()
  return value.items
}

function text(node: Node, field: string): string {
  const value = node.fields.get(field)
  if (typeof value !== 'string') throw new Unknown()
  return value
}

function number(node: Node, field: string): number {
  const value = Number(text(node, field))
  if (!Number.isSafeInteger(value)) throw new Unknown()
  return value
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Unknown()
  return value
}
