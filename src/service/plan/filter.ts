import type { TableSchema } from '../../lake/iceberg/manifest.ts'
import type { ColumnMetrics } from '../../lake/iceberg/manifestreader.ts'
import type { NestedField } from '../../lake/iceberg/schema.ts'
import { type Comparable, compare, comparePrefix, decodeBound, parseLiteral } from './bound.ts'

/** Whether a row of a file may match. */
export type FileTest = (metrics: ColumnMetrics) => boolean

interface Column {
  readonly id: number
  /** A primitive one. */
  readonly type: string
}

/** Expressions within each other that are looked at. */
const DEPTH_MAX = 100
const ANY: FileTest = () => true

/**
 * The test of a file that a predicate of the REST specification is. What it does not understand may match any file: a term that is no column, a transform, a
 * literal that may mean several values. The client filters rows by itself.
 * @param schema whose columns the predicate names
 */
export function fileTest(predicate: unknown, schema: TableSchema, caseSensitive: boolean): FileTest {
  const fold = (name: string): string => caseSensitive ? name : name.toLowerCase()
  const columns = columnsOf(schema.fields, fold)
  return testOf(predicate, false, (name) => columns.get(fold(name)), 0)
}

/** Ids of the columns of these names; others are left out. */
export function fieldIds(names: readonly string[], { fields }: TableSchema): number[] {
  const columns = columnsOf(fields)
  return [...new Set(names.flatMap((name) => columns.get(name)?.id ?? []))]
}

/** Columns by their dotted names; those in lists and maps have no bounds. A name that two of them have means neither. */
function columnsOf(fields: readonly NestedField[], fold: (name: string) => string = (name) => name): Map<string, Column> {
  const columns = new Map<string, Column>()
  const twice: string[] = []
  const visit = (inner: readonly NestedField[], prefix: string): void => {
    for (const { id, name, type } of inner) {
      const path = `${prefix}${name}`
      if (typeof type !== 'string') {
        if (type.type === 'struct') visit(type.fields, `${path}.`)
        continue
      }
      const folded = fold(path)
      if (columns.has(folded)) twice.push(folded)
      columns.set(folded, { id, type })
    }
  }
  visit(fields, '')
  for (const name of twice) columns.delete(name)
  return columns
}

type Find = (name: string) => Column | undefined

/** @param negated whether the predicate is below an odd number of `not` */
function testOf(predicate: unknown, negated: boolean, find: Find, depth: number): FileTest {
  if (typeof predicate === 'boolean') return () => predicate !== negated
  if (typeof predicate !== 'object' || predicate === null || depth > DEPTH_MAX) return ANY
  const { type, left, right, child } = predicate as Record<string, unknown>
  if (type === 'true' || type === 'false') return () => (type === 'true') !== negated
  if (type === 'not') return testOf(child, !negated, find, depth + 1)
  if (type === 'and' || type === 'or') {
    const [a, b] = [testOf(left, negated, find, depth + 1), testOf(right, negated, find, depth + 1)]
    return (type === 'and') !== negated ? (metrics) => a(metrics) && b(metrics) : (metrics) => a(metrics) || b(metrics)
  }
  return columnTest(predicate as Record<string, unknown>, negated, find)
}

const OPPOSITES: Readonly<Record<string, string>> = {
  lt: 'gt-eq', 'gt-eq': 'lt', gt: 'lt-eq', 'lt-eq': 'gt', eq: 'not-eq', 'not-eq': 'eq', in: 'not-in', 'not-in': 'in', 'is-null': 'not-null',
  'not-null': 'is-null', 'is-nan': 'not-nan', 'not-nan': 'is-nan', 'starts-with': 'not-starts-with', 'not-starts-with': 'starts-with',
}

function columnTest({ type, term, child, left, value, right, values }: Record<string, unknown>, negated: boolean, find: Find): FileTest {
  const name = nameOf(term ?? child ?? left)
  const column = name === undefined ? undefined : find(name)
  if (column === undefined || typeof type !== 'string') return ANY
  const operation = negated ? OPPOSITES[type] : type
  switch (operation) {
    case 'is-null':
      return ({ nulls }) => nulls.get(column.id) !== 0
    case 'not-null':
      return (metrics) => !isAllNull(metrics, column)
    case 'in':
      return inTest(values, column)
    case 'starts-with':
      return prefixTest(literalOf(value ?? right), column)
    case 'lt': case 'lt-eq': case 'gt': case 'gt-eq': case 'eq':
      return comparisonTest(operation, parseLiteral(column.type, literalOf(value ?? right)), column)
    default:
      return ANY
  }
}

/** A term is a column's name, alone or in a reference. */
function nameOf(term: unknown): string | undefined {
  if (typeof term === 'string') return term
  const { type, term: inner, name } = (term ?? {}) as Record<string, unknown>
  if (type !== 'reference') return undefined
  return typeof inner === 'string' ? inner : typeof name === 'string' ? name : undefined
}

/** A literal is a value, alone or in an object that says so. */
function literalOf(literal: unknown): unknown {
  if (typeof literal !== 'object' || literal === null) return literal
  const { type, value } = literal as Record<string, unknown>
  return type === 'literal' ? value : undefined
}

/** No comparison holds for NULL. NULLs of hidden rows are counted, too. */
function isAllNull({ nulls, values }: ColumnMetrics, { id }: Column): boolean {
  const all = values.get(id)
  return all !== undefined && nulls.get(id) === all
}

type Comparison = 'lt' | 'lt-eq' | 'gt' | 'gt-eq' | 'eq'

/** A file with NaN in the column has no bounds: to some engines it is the greatest value. */
function comparisonTest(operation: Comparison, literal: Comparable | undefined, column: Column): FileTest {
  if (literal === undefined) return ANY
  return (metrics) => {
    if (isAllNull(metrics, column)) return false
    if ((metrics.nans.get(column.id) ?? 0) > 0) return true
    const [lower, upper] = [boundOf(metrics.lower, column), boundOf(metrics.upper, column)]
    const isAbove = lower !== undefined && (operation === 'lt' ? compare(lower, literal) >= 0 : compare(lower, literal) > 0)
    const isBelow = upper !== undefined && (operation === 'gt' ? compare(upper, literal) <= 0 : compare(upper, literal) < 0)
    if (operation === 'lt' || operation === 'lt-eq') return !isAbove
    return operation === 'eq' ? !isAbove && !isBelow : !isBelow
  }
}

function inTest(values: unknown, column: Column): FileTest {
  const list = Array.isArray(values) ? values : literalOf(values)
  if (!Array.isArray(list)) return ANY
  const literals = list.map((value: unknown) => parseLiteral(column.type, literalOf(value)))
  if (literals.includes(undefined)) return ANY
  const tests = literals.map((literal) => comparisonTest('eq', literal, column))
  return (metrics) => tests.some((test) => test(metrics))
}

function prefixTest(literal: unknown, column: Column): FileTest {
  const prefix = column.type === 'string' ? parseLiteral('string', literal) : undefined
  if (!(prefix instanceof Uint8Array)) return ANY
  return (metrics) => {
    if (isAllNull(metrics, column)) return false
    const [lower, upper] = [metrics.lower.get(column.id), metrics.upper.get(column.id)]
    return !(lower && comparePrefix(lower, prefix) > 0) && !(upper && comparePrefix(upper, prefix) < 0)
  }
}

function boundOf(bounds: ReadonlyMap<number, Uint8Array>, { id, type }: Column): Comparable | undefined {
  const bytes = bounds.get(id)
  return bytes && decodeBound(type, bytes)
}
