import { ColumnListError } from './columnlisterror.ts'
import type { AttributeLayout } from '../tuple/attribute.ts'
import { builtInType, type BuiltInType } from './builtintypes.ts'
import type { ColumnTokens } from './columntokens.ts'

export interface TypeName {
  oid: number
  /** atttypmod, -1 for none. */
  typmod: number
  layout: AttributeLayout
}

/** Names of SQL, and pseudo-types of CREATE TABLE, for what pg_type calls otherwise. An enum's value is the oid of its label. */
const ALIASES: Readonly<Record<string, string>> = {
  int: 'int4', integer: 'int4', smallint: 'int2', bigint: 'int8', decimal: 'numeric', dec: 'numeric', real: 'float4', boolean: 'bool',
  character: 'bpchar', char: 'bpchar', nchar: 'bpchar', serial: 'int4', serial4: 'int4', bigserial: 'int8', serial8: 'int8', smallserial: 'int2',
  serial2: 'int2',
  enum: 'oid',
}

/** VARHDRSZ, which atttypmod of texts and numerics includes. */
const VARHDRSZ = 4
/** FLOAT4's digits (gram.y): a float(p) of more is a float8. */
const FLOAT4_DIGITS = 24
const FIELDS = ['year', 'month', 'day', 'hour', 'minute', 'second', 'to']

/**
 * A type as SQL writes it: `numeric(10,2)`, `timestamp(3) with time zone`, `character varying(20)[]`.
 * @throws ColumnListError for types that are not built in
 */
export function parseTypeName(tokens: ColumnTokens): TypeName {
  const { type, array, typmod } = parseElement(tokens)
  if (!takesBrackets(tokens)) return { oid: type.oid, typmod, layout: { len: type.len, align: type.align, plain: type.storage === 'p' } }
  return { oid: array, typmod, layout: { len: -1, align: Math.max(type.align, 4), plain: false } }
}

/** Any number of `[]`, `[3]`, or `array`: as in Postgres, each value has its own number of dimensions. */
function takesBrackets(tokens: ColumnTokens): boolean {
  let found = tokens.takeWord('array')
  while (tokens.take('[')) {
    if (tokens.isNumber()) tokens.number('')
    tokens.expect(']')
    found = true
  }
  return found
}

function parseElement(tokens: ColumnTokens): BuiltInType & { typmod: number } {
  if (tokens.takeWord('national') && !tokens.isWord('character') && !tokens.isWord('char')) throw tokens.wrong("'character'")
  const isChar = tokens.isWord('char')
  let name = tokens.name('a type')
  if (name === 'pg_catalog' && tokens.take('.')) name = tokens.name('a type')
  switch (name) {
    case 'double':
      if (!tokens.takeWord('precision')) throw tokens.wrong("'precision'")
      return plain('float8')
    case 'float':
      return plain((parseArguments(tokens)[0] ?? FLOAT4_DIGITS + 1) > FLOAT4_DIGITS ? 'float8' : 'float4')
    case 'time':
    case 'timestamp':
      return parseTime(tokens, name)
    case 'interval':
      while (FIELDS.some((field) => tokens.takeWord(field))) parseArguments(tokens)
      parseArguments(tokens)
      return plain('interval')
    // "char" in quotes is a type of its own.
    case 'char':
      return isChar ? parseString(tokens, 'bpchar') : plain('char')
    case 'character':
    case 'nchar':
      return parseString(tokens, 'bpchar')
    case 'bit':
      return parseString(tokens, 'bit')
    default:
      return withTypmod(Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name, parseArguments(tokens))
  }
}

/** character, bit: `varying` makes another type of them. */
function parseString(tokens: ColumnTokens, name: 'bpchar' | 'bit'): BuiltInType & { typmod: number } {
  const varying = tokens.takeWord('varying')
  const [length] = parseArguments(tokens)
  const full = name === 'bit' ? (varying ? 'varbit' : 'bit') : varying ? 'varchar' : 'bpchar'
  return withTypmod(full, length === undefined && !varying ? [1] : length === undefined ? [] : [length])
}

function parseTime(tokens: ColumnTokens, name: 'time' | 'timestamp'): BuiltInType & { typmod: number } {
  const [precision] = parseArguments(tokens)
  const zone = tokens.takeWord('with')
  if (zone || tokens.takeWord('without')) {
    if (!tokens.takeWord('time') || !tokens.takeWord('zone')) throw tokens.wrong("'time zone'")
  }
  return { ...plain(zone ? `${name}tz` : name), typmod: precision ?? -1 }
}

function parseArguments(tokens: ColumnTokens): number[] {
  if (!tokens.take('(')) return []
  const found: number[] = []
  do found.push(tokens.number('a number'))
  while (tokens.take(','))
  tokens.expect(')')
  return found
}

function plain(name: string): BuiltInType & { typmod: number } {
  const found = builtInType(name)
  if (!found) {
    const advice = `give its base type, or 'raw <length> <alignment>' (raw -1 i for most types of variable length)`
    throw new ColumnListError(`the type '${name}' is not built in; ${advice}`)
  }
  return { ...found, typmod: -1 }
}

function withTypmod(name: string, given: readonly number[]): BuiltInType & { typmod: number } {
  const found = plain(name)
  const [first, second = 0] = given
  if (first === undefined) return found
  switch (name) {
    case 'numeric':
      return { ...found, typmod: ((first << 16) | (second & 0x7ff)) + VARHDRSZ }
    case 'varchar':
    case 'bpchar':
      return { ...found, typmod: first + VARHDRSZ }
    default:
      return { ...found, typmod: first }
  }
}
