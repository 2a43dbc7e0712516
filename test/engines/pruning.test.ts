/**
 * What engines pass over by the bounds of files, row groups and pages has no row that a condition asks for: random conditions on random values of several
 * files find in every engine the rows that the server finds.
 */
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import { closeSessions, connect, createCluster, fewerMajors, type Session } from '../support/oracle.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { filter } from '../support/rounds.ts'
import { amount, drawn } from '../support/scope.ts'
import { idsWhere } from './conditions.ts'
import { Engine, type EngineName, formatsOf, installed, QUICK_ENGINES, SLOW_ENGINES } from './engine.ts'
import { publishedPlace, type PublishedPlace, questionFor } from './publishedlake.ts'

/** A column, its random values, and how its engines see it. */
interface Kind {
  readonly type: string
  /** A value of a file. @param band values of different files lie apart, or else nothing is ever passed over */
  readonly value: (random: Random, band: number) => string
  /** What engines show as NULL: text of the server's value is in `_overflow`. */
  readonly isNull?: string
  /** What follows `CAST('…' AS`; quoted alone, or as it is, without it. */
  readonly cast?: string
  readonly isQuoted?: boolean
}

const BANDS = 4
const pad = (value: number, digits: number): string => String(value).padStart(digits, '0')
const day = (random: Random, band: number): string => `${1980 + band * 40 + random.int(45)}-${pad(1 + random.int(12), 2)}-${pad(1 + random.int(28), 2)}`
const moment = (random: Random, band: number): string => `${day(random, band)} ${pad(random.int(24), 2)}:${pad(random.int(60), 2)}:59.${pad(random.int(1_000_000), 6)}`
const float = (random: Random, band: number): string => random.pick([String((band - 2) * 100 + random.int(15_000) / 100), '-0', '0', 'Infinity', '-Infinity', ...band === 1 ? ['NaN'] : []])
/** What bounds are cut behind, and characters that have none above them. */
const long = (random: Random, band: number): string => random.pick(['', 'b', 'k', 'é', '\u{ffff}'.repeat(17), '\u{10ffff}'.repeat(random.int(19)), '\u{d7ff}'.repeat(16)])
  + String.fromCodePoint(97 + band * 5 + random.int(6)).repeat(random.int(20)) + random.pick(['', 'a', 'z', '\u{10ffff}'])
const hex = (random: Random, digits: number): string => Array.from({ length: digits }, () => random.int(16).toString(16)).join('')

const KINDS: Record<string, Kind> = {
  i: { type: 'int', value: (random, band) => String((band - 2) * 1_000_000 + random.int(1_500_000)) },
  l: { type: 'bigint', value: (random, band) => String(BigInt(band - 2) * 4_000_000_000_000_000_000n + BigInt(random.next())) },
  f: { type: 'float8', value: float, cast: 'DOUBLE' },
  r: { type: 'float4', value: (random, band) => random.pick(['NaN', '-0', '0', String((band - 2) * 64 + random.int(512) / 8)]), cast: 'REAL' },
  t: { type: 'text COLLATE "C"', value: long, isQuoted: true },
  u: { type: 'uuid', value: (random, band) => `${hex(random, 1)}${band}${hex(random, 6)}-0000-4000-8000-${hex(random, 12)}`, isQuoted: true },
  n: { type: 'numeric(20,4)', value: (random, band) => random.pick([`${(band - 2) * 1000 + random.int(1500)}.${pad(random.int(10_000), 4)}`, 'NaN']), isNull: "n = 'NaN'", cast: 'DECIMAL(20,4)' },
  d: { type: 'date', value: (random, band) => random.pick([day(random, band), 'infinity', '-infinity', day(random, band)]), isNull: 'NOT isfinite(d)', cast: 'DATE' },
  s: { type: 'timestamp', value: (random, band) => random.pick([moment(random, band), moment(random, band), 'infinity']), isNull: 'NOT isfinite(s)', cast: 'TIMESTAMP' },
  b: { type: 'boolean', value: (random, band) => (band === 0 ? 'true' : band === 1 ? 'false' : random.pick(['true', 'false'])) },
}
const ROWS = 300
const QUESTIONS = amount({ sample: 60, all: 400 })
const SLOW_QUESTIONS = amount({ sample: 30, all: 150 })
const names = installed([...QUICK_ENGINES, ...drawn(SLOW_ENGINES, 1, 'slow engines for conditions')])
const [major] = fewerMajors('majors of conditions') as [number]
/** To whom NaN is not the greatest value, as to Postgres, but no value. */
const IEEE: readonly EngineName[] = ['pyiceberg', 'clickhouse']

interface Asked {
  readonly column: string
  /** `<`, `IS NULL`, … */
  readonly operation: string
  readonly constant: string | undefined
}

let folder: string
let place: PublishedPlace
const asked: Asked[] = []
/** Ids that the server finds, as an engine must: by whether NaN is the greatest value to it. */
const expected = new Map<Asked, { ieee: string, greatest: string }>()

beforeAll(async () => {
  if (names.length === 0) return
  folder = mkdtempSync(join(tmpdir(), 'ltap-pruning-'))
  chmodSync(folder, 0o755)
  const lake = join(folder, 'lake')
  const random = new Random(TEST_SEED)
  const cluster = await createCluster(major)
  try {
    for (let band = 0; band < BANDS; band++) {
      const sql = await connect(cluster)
      if (band === 0) await sql.exec(`CREATE TABLE facts (id int, ${Object.entries(KINDS).map(([name, { type }]) => `${name} ${type}`).join(', ')}) WITH (fillfactor = 30)`)
      for (let row = 0; row < ROWS; row++) await sql.exec(`INSERT INTO facts VALUES (${band * ROWS + row}, ${Object.values(KINDS).map((kind) => stored(kind, random, band)).join(', ')})`)
      if (band > 0) await sql.exec(`DELETE FROM facts WHERE id % 97 = ${band}`)
      if (band === BANDS - 1) await askServer(sql, random)
      const oid = Number((await sql.rows("SELECT 'facts'::regclass::oid"))[0]![0])
      await closeSessions(cluster)
      await cluster.stop('fast')
      expect(await materializeLake({ pgdata: cluster.dataDir, store: await openObjectStore(lake), workers: 0, filter, merge: false })).toMatchObject({ published: { left: [] } })
      await cluster.start()
      place = publishedPlace(lake, 'postgres', oid)!
    }
  } finally {
    await closeSessions(cluster)
    await cluster.remove()
  }
})

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

function stored({ value }: Kind, random: Random, band: number): string {
  return random.chance(8) ? 'NULL' : `'${value(random, band)}'`
}

async function askServer(sql: Session, random: Random): Promise<void> {
  for (let i = 0; i < Math.max(QUESTIONS, SLOW_QUESTIONS); i++) {
    const column = random.pick(Object.keys(KINDS))
    const operation = random.pick(['=', '<>', '<', '<=', '>', '>=', '<', '>', 'IS NULL', 'IS NOT NULL'])
    const constant = operation.startsWith('IS') ? undefined : await someConstant(sql, column, random)
    const question = { column, operation, constant }
    const kind = KINDS[column]!
    const condition = constant === undefined ? `${kind.isNull === undefined ? 'true' : `NOT coalesce(${kind.isNull}, false)`}` : `NOT (${kind.isNull ?? 'false'}) AND ${column} ${operation} '${constant}'::${kind.type}`
    const where = constant === undefined ? (operation === 'IS NULL' ? `${column} IS NULL OR NOT (${condition})` : `${column} IS NOT NULL AND ${condition}`) : condition
    const find = async (text: string): Promise<string> => (await sql.rows(`SELECT id FROM facts WHERE ${text} ORDER BY id`)).join()
    const isFloat = kind.type.startsWith('float')
    expected.set(question, { greatest: await find(where), ieee: await find(isFloat && operation.startsWith('>') ? `(${where}) AND ${column} <> 'NaN'` : where) })
    asked.push(question)
  }
}

/** One that is there, or one between those. */
async function someConstant(sql: Session, column: string, random: Random): Promise<string> {
  const kind = KINDS[column]!
  for (;;) {
    const there = (await sql.rows(`SELECT ${column} FROM facts WHERE ${column} IS NOT NULL ORDER BY id OFFSET ${random.int(BANDS * ROWS / 2)} LIMIT 1`))[0]![0]!
    const chosen = random.chance(50) ? there : kind.value(random, random.int(BANDS))
    const constant = kind.type === 'boolean' ? String(chosen.startsWith('t')) : chosen
    if (!/NaN|nfinity/.test(constant) && !constant.includes('\u{10ffff}'.repeat(2))) return constant
  }
}

/** The condition as an engine reads it. */
function conditionFor(name: EngineName, { column, operation, constant }: Asked): string | undefined {
  const { cast, isQuoted, type } = KINDS[column]!
  if (constant === undefined) return `${column} ${operation}`
  const text = `'${constant}'`
  if (name === 'pyiceberg') {
    if (operation === '<>' || type.startsWith('numeric')) return undefined
    const isText = isQuoted === true || cast === 'DATE' || cast === 'TIMESTAMP'
    return `${column} ${operation} ${isText ? text.replace(' ', 'T') : constant}`
  }
  const own = cast === 'TIMESTAMP' && name === 'clickhouse' ? `toDateTime64(${text}, 6, 'UTC')` : cast === 'DATE' && name === 'clickhouse' ? `toDate32(${text})` : undefined
  return `${column} ${operation} ${own ?? (cast === undefined ? (isQuoted === true ? text : constant) : `CAST(${text} AS ${cast})`)}`
}

async function problemsOf(engine: Engine, format: 'iceberg' | 'delta', from = place): Promise<string[]> {
  const problems: string[] = []
  for (const question of asked.slice(0, SLOW_ENGINES.includes(engine.name) ? SLOW_QUESTIONS : QUESTIONS)) {
    const where = conditionFor(engine.name, question)
    if (where === undefined) continue
    const wanted = expected.get(question)!
    const found = (await idsWhere(engine, questionFor(format, from), where)).join()
    const right = IEEE.includes(engine.name) ? wanted.ieee : wanted.greatest
    if (found !== right) problems.push(`${engine.name}, ${format}: ${where}: ${differing(found, right)}`)
  }
  return problems
}

function differing(found: string, right: string): string {
  const [own, wanted] = [found.split(','), right.split(',')]
  const [lost, more] = [wanted.filter((id) => !own.includes(id)), own.filter((id) => !wanted.includes(id))]
  return `lost ${lost.slice(0, 10).join()} of ${wanted.length}, has ${more.slice(0, 10).join()} more`
}

const cases = names.flatMap((name) => formatsOf(name).filter((format): format is 'iceberg' | 'delta' => format === 'iceberg' || (format === 'delta' && name !== 'polars')).map((format) => [name, format] as const))

describe('conditions find what the server finds', () => {
  test.each(cases)('%s, %s', async (name, format) => {
    const engine = new Engine(name)
    try {
      expect(await problemsOf(engine, format)).toEqual([])
    } finally {
      await engine.stop()
    }
  })
})

test.skipIf(!names.includes('duckdb'))('planted fault: bounds of one file that are too tight', async () => {
  const engine = new Engine('duckdb')
  try {
    const copy = join(folder, 'tight')
    cpSync(place.folder, copy, { recursive: true })
    let changed = 0
    for (const entry of readdirSync(join(copy, '_delta_log')).filter((name) => name.endsWith('.json'))) {
      const path = join(copy, '_delta_log', entry)
      const lines = readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => {
        const action = JSON.parse(line) as { add?: { stats: string } }
        if (action.add === undefined) return line
        const stats = JSON.parse(action.add.stats) as { minValues: { id: number }, maxValues: { id: number } }
        changed++
        return JSON.stringify({ ...action, add: { ...action.add, stats: JSON.stringify({ ...stats, maxValues: { ...stats.maxValues, id: stats.maxValues.id - 100 } }) } })
      })
      writeFileSync(path, `${lines.join('\n')}\n`)
    }
    expect(changed).toBeGreaterThan(BANDS - 1)
    // The greatest ids of the newest file.
    const where = `id > ${BANDS * ROWS - 50}`
    const right = await idsWhere(engine, questionFor('delta', place), where)
    expect(right.length).toBeGreaterThan(40)
    expect(await idsWhere(engine, questionFor('delta', { ...place, folder: copy }), where)).not.toEqual(right)
  } finally {
    await engine.stop()
  }
})
