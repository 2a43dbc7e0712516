import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { hexDecode } from '../../src/common/bytes.ts'
import { boolCodec } from '../../src/datum/types/bool.ts'
import type { Codec } from '../../src/datum/codec.ts'
import { dateCodec } from '../../src/datum/types/date.ts'
import { float4Codec, float8Codec } from '../../src/datum/types/float.ts'
import { int2Codec, int4Codec, int8Codec } from '../../src/datum/types/int.ts'
import { intervalCodec } from '../../src/datum/types/interval.ts'
import { macaddr8Codec, macaddrCodec } from '../../src/datum/types/macaddr.ts'
import { moneyCodec } from '../../src/datum/types/money.ts'
import { numericCodec } from '../../src/datum/types/numeric.ts'
import { oidCodec, regCodec } from '../../src/datum/types/oid.ts'
import { lsnCodec } from '../../src/datum/types/pglsn.ts'
import { tidCodec } from '../../src/datum/types/tid.ts'
import { timeCodec } from '../../src/datum/types/time.ts'
import { timestampCodec, timestamptzCodec } from '../../src/datum/types/timestamp.ts'
import { timetzCodec } from '../../src/datum/types/timetz.ts'
import { uuidCodec } from '../../src/datum/types/uuid.ts'
import { xid8Codec } from '../../src/datum/types/xid8.ts'
import { expectNative, roundTrip } from '../datum/codeclaws.ts'
import { expectPair } from '../datum/textlaws.ts'
import { closeSessions, connect, createCluster, fewerMajors, type Session } from '../support/oracle.ts'
import { TEST_SEED } from '../support/random.ts'
import { store } from './stored.ts'

const MAJORS = fewerMajors('majors of scalars')

/** The values of an SQL query with one column `v`, stored: payload on the page, text by the output function. */
async function storedBy(sql: Session, type: string, query: string): Promise<{ payload: Uint8Array; text: string }[]> {
  await sql.exec(`drop table if exists scalar; create table scalar (v ${type}); insert into scalar ${query}`)
  const texts = await sql.rows('select v from scalar order by ctid')
  const datums = await sql.rows(
    `select encode(t_attrs[1], 'hex') from generate_series(0, pg_relation_size('scalar') / 8192 - 1) b,
     heap_page_item_attrs(get_raw_page('scalar', b::int), 'scalar'::regclass) order by b, lp`,
  )
  expect(datums.length).toBe(texts.length)
  return texts.map(([text], i) => ({ payload: hexDecode(datums[i]![0]!), text: text! }))
}

/** Text and bytes are the server's, in both directions, in the column too if the value is native. */
function expectServer(codec: Codec, values: readonly { payload: Uint8Array; text: string }[]): void {
  for (const { payload, text } of values) {
    expectPair(codec, payload, text)
    const found = roundTrip(codec, payload)
    if (found?.native) expectNative(codec, payload)
    else expect(found?.native, text).toBe(false)
  }
}

const list = (values: readonly (string | number)[],
  type: string): string => `select x::text::${type} from unnest(array[${values.map((v) => `'${v}'`).join(',')}]) x`

/** Random 64 bits as an SQL expression. */
const BITS = `(('x' || substr(md5(i::text), 1, 16))::bit(64)::bigint)`

describe.each(MAJORS)('Postgres %i', (major) => {
  let cluster: Awaited<ReturnType<typeof createCluster>> | undefined
  let session: Session | undefined
  beforeAll(async () => {
    cluster = await createCluster(major)
    session = await connect(cluster)
    await session.exec('create extension pageinspect')
  })
  afterAll(async () => {
    if (!cluster) return
    await closeSessions(cluster)
    await cluster.remove()
  })
  const withServer = (body: (sql: Session) => Promise<void>): Promise<void> => body(session!)

  test('integers, identifiers, addresses', async () => {
    await withServer(async (sql) => {
      const cases: [string, Codec, string][] = [
        ['bool', boolCodec, list(['t', 'f'], 'bool')],
        ['int2', int2Codec, list([-32768, -1, 0, 1, 32767], 'int2')],
        ['int4', int4Codec, list([-2147483648, -1, 0, 1, 1000000000, 2147483647], 'int4')],
        ['int8', int8Codec, `select ${BITS} from generate_series(1, 500) i union all ${list(['-9223372036854775808',
          '9223372036854775807', 0, 9007199254740993], 'int8')}`],
        ['oid', oidCodec, list([0, 1, 4294967295, 2147483648], 'oid')],
        ['xid', oidCodec, list([0, 3, 4294967295], 'xid')],
        ['cid', oidCodec, list([0, 3, 4294967295], 'cid')],
        ['regclass', regCodec, list([0, 4294967295, 999999], 'oid').replace('::oid', '::oid::regclass')],
        ['xid8', xid8Codec, list([0, '18446744073709551615', '9223372036854775808', '1000000000000000000', '10000000000'], 'xid8')],
        ['tid', tidCodec, list(['(0,0)', '(4294967295,65535)', '(65536,1)'], 'tid')],
        ['pg_lsn', lsnCodec, list(['0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848', '0/A'], 'pg_lsn')],
        ['money', moneyCodec, `select x::money from (select ${BITS} / 100 x from generate_series(1, 300) i) y
           union all ${list(['-92233720368547758.08', '92233720368547758.07', 0, '0.01', '-0.99', '999.99', '1000', '-999999',
             '1000000'], 'money')}`],
        ['uuid', uuidCodec({ profile: 'portable' }), 'select md5(i::text)::uuid from generate_series(1, 200) i'],
        ['uuid', uuidCodec({ profile: 'iceberg' }), 'select md5(i::text)::uuid from generate_series(1, 200) i'],
        ['macaddr', macaddrCodec, list(['08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'], 'macaddr')],
        ['macaddr8', macaddr8Codec, list(['08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03'], 'macaddr8')],
      ]
      for (const [type, codec, query] of cases) expectServer(codec, await storedBy(sql, type, query))
    })
  })

  test('floats', async () => {
    await withServer(async (sql) => {
      await sql.exec(`create function f8(bits int8) returns float8 language sql as $$
        select case (bits >> 52) & 2047 when 2047 then 'NaN' when 0 then (bits & ((1::int8 << 52) - 1))::float8 * 5e-324
          else sign((bits >> 62)::float8 + 0.5) * (1 + (bits & ((1::int8 << 52) - 1))::float8 / 4503599627370496.0)
            * 2.0::float8 ^ (((bits >> 52) & 2047) - 1023)::float8 end $$`)
      const edges = ['NaN', 'Infinity', '-Infinity', '-0', '0', '5e-324', '1.7976931348623157e308', '2.2250738585072014e-308',
        '39902112524455504', '9007199254740992',
        '9007199254740993', '18014398509481984', '1e15', '999999999999999.9', '1e22', '1e23', '0.0001', '0.00001', '123456789012345678',
          '1125899906842624.25',
        '1125899906842624.75', '4503599627370497.5', '9.5367431640625e-07', '2e16', '4.4501477170144023e-308', '1e-100', '-1e100']
      const powers = `select 2.0::float8 ^ i::float8 from generate_series(-1022, 1023) i`
      const float8s = `${list(edges, 'float8')} union all ${powers} union all select f8(${BITS}) from generate_series(1, 3000) i
        union all select (i * 9007199254740992.0::float8 + ${BITS} % 1000000007)::float8 from generate_series(1, 3000) i`
      expectServer(float8Codec, await storedBy(sql, 'float8', float8s))
      const edges4 = ['NaN', 'Infinity', '-Infinity', '-0', '0', '1e-45', '3.4028235e38', '1.1754944e-38', '16777216', '33554432',
        '1e6', '999999', '123456.7', '0.0001', '0.00001',
        '8388608.5', '9.5e10', '5.4', '67108864', '1.4e-45']
      const powers4 = `select (2.0::float8 ^ i::float8)::float4 from generate_series(-126, 127) i`
      const scaled = `select ((1 + (${BITS} & 8388607)::float8 / 8388608)
        * 2.0::float8 ^ (i % 250 - 125)::float8)::float4 from generate_series(1, 4000) i`
      expectServer(float4Codec, await storedBy(sql, 'float4', `${list(edges4, 'float4')} union all ${powers4} union all ${scaled}`))
    })
  })

  test('dates and times', async () => {
    await withServer(async (sql) => {
      const dates = ['infinity', '-infinity', '4714-11-24 BC', '0001-12-31 BC', '0001-01-01', '9999-12-31', '10000-01-01',
        '5874897-12-31', '2000-02-29', '1900-02-28', '0005-02-29 BC', '0001-02-29 BC']
      expectServer(dateCodec, await storedBy(sql, 'date', `${list(dates,
        'date')} union all select '4714-11-24 BC'::date + (i * 1073741) from generate_series(0, 1998) i
        union all select '1890-01-01'::date + i * 17 from generate_series(1, 5000) i`))
      const stamps = ['infinity', '-infinity', '4714-11-24 00:00:00 BC', '0001-12-31 23:59:59.999999 BC', '0001-01-01',
        '9999-12-31 23:59:59.999999', '10000-01-01',
        '294276-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999', '1970-01-01', '2024-02-29 12:34:56.100']
      const range = `select '4714-11-24 00:00:00 BC'::timestamp + make_interval(days => i * 54321,
        secs => i * 1.234567) from generate_series(0, 1900) i`
      expectServer(timestampCodec, await storedBy(sql, 'timestamp', `${list(stamps, 'timestamp')} union all ${range}`))
      expectServer(timestamptzCodec, await storedBy(sql, 'timestamptz', `${list(stamps,
        'timestamptz')} union all select v at time zone 'UTC' from (${range}) r(v)`))
      const times = list(['00:00', '24:00', '23:59:59.999999', '12:34:56.78', '00:00:00.000001'], 'time')
      const someTimes = `${times} union all select ('00:00'::time + i * '86.412345 s'::interval) from generate_series(1, 999) i`
      expectServer(timeCodec({ profile: 'portable' }), await storedBy(sql, 'time', someTimes))
      expectServer(timeCodec({ profile: 'iceberg' }), await storedBy(sql, 'time', someTimes))
      const zoned = ['12:34:56+05:30', '00:00-15:59:59', '24:00+15:59:59', '01:02:03.4-00:00:01', '12:00+00', '12:00-03:30:15']
      expectServer(timetzCodec, await storedBy(sql, 'timetz', `${list(zoned, 'timetz')}
        union all select '12:00+00'::timetz at time zone z from unnest(array['100:00', '-1000:00:01', '99:59']::interval[]) z`))
    })
  })

  test('intervals', async () => {
    await withServer(async (sql) => {
      const edges = ['0', '1 mon', '-1 mon', '1 year 2 mons 3 days 04:05:06.789', '-1 mons +2 days -00:00:01', '1 mon -1 day 00:00:01',
        '-1 year +1 day', '-1 day +00:00:00.1',
        '-0.000001 s', '178956970 years 7 mons 2147483647 days', '-178956970 years -8 mons -2147483648 days',
          '2147483647 hours 59 min 59.999999 s',
        '-2147483647 hours', '100:00', '999999:59:59.5', '1000000:00:00', '1000000:00:00.25', '-1 year -2 mons', '1 day', '-24:00:00']
      if (major >= 15) edges.push('2562047788:00:54.775807', '-2562047788:00:54.775807',
        '178956970 years 7 mons 2147483647 days 2562047788:00:54.775806')
      if (major >= 17) edges.push('infinity', '-infinity')
      const random = `select make_interval(months => (b >> 20)::int % m, days => (b & 65535)::int % m - m / 2,
        secs => (b % 1000000007) / 1000.0 * (i % 3 - 1))
        from (select i, ${BITS} >> 12 b, (array[3, 40, 1000])[i % 3 + 1] m from generate_series(1, 1500) i) x`.replace("(b >> 20)::int",
          '((b >> 20) & 1048575)::int')
      expectServer(intervalCodec({ major: major as 14 | 18 }), await storedBy(sql, 'interval', `${list(edges,
        'interval')} union all ${random}`))
    })
  })

  test('numeric', async () => {
    await withServer(async (sql) => {
      const text = fc.stringMatching(/^-?[0-9]{1,45}(\.[0-9]{1,45})?$/)
      const edges = ['0', '0.00', '-0.0', '1', '-1', '10000', '1e100', '1e-100', '1e131071', `0.${'0'.repeat(16382)}1`,
        '9'.repeat(131072), '0.0000000005', '99999999999999.99', 'NaN', '9999.9999',
        `1e63`, '1e255', '1e256', '1e-256', '1e-257', `0.${'1'.repeat(63)}`, `0.${'1'.repeat(64)}`, 'Infinity', '-Infinity']
      for (const value of await store(sql, 'numeric', [...edges, ...fc.sample(text, { numRuns: 500, seed: TEST_SEED })])) {
        const codec = numericCodec(-1, { displayScale: 0 })
        expectPair(codec, value.payload, value.text)
        const found = roundTrip(codec, value.payload)!
        const exact = /^-?[0-9]+(\.[0-9]{1,9}0*)?$/.test(value.text) && value.text.replace('-', '').split('.')[0]!.length <= 29
        expect(found.native, `seed ${TEST_SEED}: ${value.text}`).toBe(exact)
      }
      for (const [type, scale, unit] of [['numeric(15,2)', 2, 997.03], ['numeric(38,38)', 38, 1e-6], ['numeric(50,20)', 20,
        0.01]] as const) {
        const inputs = fc.sample(fc.integer({ min: -999999, max: 999999 }), { numRuns: 300, seed: TEST_SEED }).map((n) => (n * unit).toFixed(6))
        const values = await store(sql, type, inputs)
        const typmod = Number(await sql.value(`select atttypmod from pg_attribute where attrelid = 'stored'::regclass and attname = 'v'`))
        const codec = numericCodec(typmod, { displayScale: scale })
        for (const { payload, text } of values) {
          expectPair(codec, payload, text)
          expectNative(codec, payload)
          expect(codec.displayScale(payload, 0, payload.length)).toBe(scale)
        }
      }
    })
  })
})
