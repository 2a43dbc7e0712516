/** Random SQL values of the column types that {@link DdlWorkload} uses. */
import type { Random } from './random.ts'

/** SQL for a random value, NULL not among them. */
type Make = (random: Random) => string

const quoted = (make: (random: Random) => string): Make => (random) => `'${make(random).replaceAll("'", "''")}'`
const from = (...texts: string[]): Make => quoted((random) => random.pick(texts))

const digits = (random: Random, count: number): string => Array.from({ length: 1 + random.int(count) }, () => random.int(10)).join('')
const sign = (random: Random): string => (random.chance(30) ? '-' : '')
const integer = (limit: number): Make => (random) => (random.chance(10) ? `${random.pick([-limit, limit - 1, 0, -1])}` : `${sign(random)}${random.int(limit)}`)
const decimal = (whole: number, fraction: number): Make => (random) => `${sign(random)}${digits(random, whole)}.${digits(random, fraction)}`

const WORDS = ['', 'a', 'é', '日本', '🙂', 'quoted "x"', "it's", '{a,b}', '(1,2)', 'back\\slash', 'tab\there', 'line\nend', 'NULL', ' blanks ', '\\x41']

/** Short; long enough for a 4-byte header; compressible; out of line. */
const text: Make = (random) => {
  const word = quoted(() => random.pick(WORDS))(random)
  const n = random.int(1000)
  switch (random.int(8)) {
    case 0:
      return `repeat(${word} || 'x', ${120 + random.int(30)})`
    case 1:
      return `repeat(${word} || '${n}', 1500)`
    case 2:
      return `(SELECT string_agg(md5(i::text || '${n}'), '') FROM generate_series(1, ${60 + random.int(400)}) i)`
    default:
      return `${word} || '${n}'`
  }
}

const timestamps = from(
  '2024-02-29 12:34:56.789012', '1999-12-31 23:59:59.999999', '1970-01-01', '0001-01-01', '0001-01-01 BC', '9999-12-31 23:59:59.999999', '10000-01-01',
  'infinity', '-infinity', '1582-10-15', '0044-03-15 BC', '294276-12-31 23:59:59.999999', '2000-01-01', '1901-12-13 20:45:51',
)

/** By what format_type prints. */
const MAKERS: Record<string, Make> = {
  integer: integer(2147483648), smallint: integer(32768),
  bigint: (random) => `${sign(random)}${digits(random, 18)}::bigint`,
  boolean: (random) => random.pick(['true', 'false']), oid: (random) => `${random.int(4294967296)}::bigint::oid`,
  'double precision': from('0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-310', '3.141592653589793', '-1.5e300', '0.1'),
  real: from('0', '-0', 'NaN', '1e-40', '3.14', '16777217'),
  numeric: (random) => (random.chance(15) ? `'${random.pick(['NaN', 'Infinity', '-Infinity', '1e-200', '1e300', '0.00', '1.10000'])}'` : decimal(30, 20)(random)),
  'numeric(10,2)': decimal(8, 2), 'numeric(14,2)': decimal(8, 2), 'numeric(30,12)': decimal(18, 12), 'numeric(45,3)': decimal(40, 3),
  text, 'character varying': text, 'character varying(10)': from(...WORDS.filter((word) => word.length <= 10)),
  'character varying(20)': from(...WORDS), 'character(5)': from('', 'a', 'é', 'abcde', '日本'), name: from('', 'a', 'quite a long name for a thing'),
  '"char"': from('', 'a', '\\377'), json: from('{"a": [1, 2.50, null]}', '1', '[]', '"é"'), citext: text,
  jsonb: (random) => `jsonb_build_object('k', ${text(random)}::text, 'n', ${decimal(9, 4)(random)}, 'a', jsonb_build_array(1, null, true))`,
  bytea: (random) => `convert_to(${text(random)}, 'UTF8')`, uuid: (random) => `md5('${random.int(1000)}')::uuid`,
  date: timestamps, 'timestamp without time zone': timestamps, 'timestamp with time zone': timestamps,
  'time without time zone': from('00:00', '24:00:00', '12:34:56.789012', '23:59:59.999999'), 'time with time zone': from('12:00+05:30', '24:00-08', '00:00+00'),
  interval: from('1 year 2 mons', '-3 days +04:05:06.7', '0', '178000000 years', '-00:00:00.000001'),
  'integer[]': from('{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={7,8}', '{2147483647}'), 'bigint[]': from('{}', '{1,NULL}', '{9223372036854775807}'),
  'text[]': (random) => random.pick([`'{}'`, `ARRAY[${text(random)}, NULL, '', 'NULL']`, `'{{a},{b}}'`]),
  'numeric(10,2)[]': from('{1.20,NULL,-3}', '{}'), 'timestamp without time zone[]': from('{2024-01-01,NULL}', '{infinity}'),
  int4range: from('empty', '[1,5)', '(,7]', '(,)'), int8multirange: from('{}', '{[1,5),[9,12)}'), inet: from('10.0.0.1', '::1/64', '192.168.0.0/16'),
  cidr: from('10.0.0.0/8', '2001:db8::/32'), macaddr: from('08:00:2b:01:02:03'), money: (random) => `(${decimal(9, 2)(random)})::numeric::money`,
  'bit(5)': from('10101', '00000'), 'bit varying(5)': from('', '101'), 'bit varying': from('', '1', '1010101010101'), point: from('(1,2)', '(-0,NaN)'),
  pg_lsn: from('0/0', 'FFFFFFFF/FFFFFFFF'), tsvector: from('', "'a':1A 'b':2,3"), xid: (random) => `'${random.int(4294967296)}'::xid`,
  domain_int: integer(1000), domain_text: text,
}

/** Types of new columns, as SQL writes them. */
export const COLUMN_TYPES = [
  ...Object.keys(MAKERS).filter((name) => name !== 'citext'), 'label', 'pair', 'pair[]', 'label[]',
]

/** Types that ALTER TYPE goes to from each type; without rewrite where Postgres can. */
export const CONVERSIONS: Record<string, string[]> = {
  integer: ['bigint', 'oid', 'numeric', 'text USING %::text', 'domain_int'], oid: ['integer', 'bigint'], smallint: ['integer'], bigint: ['numeric'],
  'character varying(10)': ['character varying(20)', 'character varying', 'text'], 'character varying(20)': ['text', 'character varying'],
  'character varying': ['text', 'domain_text'], text: ['character varying', 'bytea USING convert_to(%, \'UTF8\')', 'domain_text', 'name'], domain_text: ['text'],
  domain_int: ['integer', 'bigint'], 'numeric(10,2)': ['numeric(14,2)', 'numeric', 'numeric(30,12)'], 'numeric(14,2)': ['numeric'],
  'numeric(30,12)': ['numeric'], 'timestamp without time zone': ['timestamp with time zone', 'text USING %::text'],
  'timestamp with time zone': ['timestamp without time zone'], date: ['timestamp without time zone USING NULL::timestamp', 'text USING %::text'],
  json: ['jsonb', 'text USING %::text'], 'integer[]': ['bigint[]'], cidr: ['inet'], 'bit(5)': ['bit varying(5)', 'bit varying'], 'bit varying(5)': ['bit varying'],
  label: ['text USING %::text'], 'character(5)': ['text', 'character varying(10)'], uuid: ['text USING %::text'], name: ['text'],
  'time without time zone': ['interval', 'time with time zone'], 'double precision': ['text USING %::text'], xid: ['text USING %::text'],
}

/**
 * A value of the type that format_type prints as `type`.
 * @param labels of enum `label`
 * @param fields types of the fields of composite `pair`
 */
export function randomValue(random: Random, type: string, labels: readonly string[], fields: readonly string[]): string {
  if (random.chance(12)) return 'NULL'
  const pair = (): string => `ROW(${fields.map((field) => randomValue(random, field, labels, [])).join(', ')})::pair`
  switch (type) {
    case 'label':
      return labels.length === 0 ? 'NULL' : `'${random.pick(labels)}'`
    case 'label[]':
      return labels.length === 0 ? 'NULL' : `ARRAY['${random.pick(labels)}', NULL]::label[]`
    case 'pair':
      return fields.length === 0 ? 'NULL' : pair()
    case 'pair[]':
      return fields.length === 0 ? 'NULL' : `ARRAY[${pair()}, NULL, ${pair()}]::pair[]`
    default: {
      const make = MAKERS[type]
      if (make === undefined) throw new Error(`no values of type ${type}`)
      return make(random)
    }
  }
}
