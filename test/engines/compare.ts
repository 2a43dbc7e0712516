/** What an engine reads of a published table against what the server showed, row by row: `_ltap` says which row of the server is meant. */
import type { ColumnType } from '../../src/vector/columntype.ts'
import type { Value } from '../columnar/lakevalues.ts'
import { valueProblem } from '../support/comparelake.ts'
import { withNullsOf } from '../support/servertext.ts'
import type { Answer, Engine, Question } from './engine.ts'
import { publishedType } from './publishedtype.ts'
import type { ServerTable } from './servertables.ts'

/** What of an engine a comparison must know. */
type Shown = Pick<Engine, 'shows' | 'fillsNulls'>

/** Differences that are told of one table. */
const TOLD_MAX = 5

/** Asks for a whole table and compares it. @returns what differs, in plain words; nothing if the engine agrees with the server */
export async function compareWithServer(engine: Engine, question: Question, table: ServerTable): Promise<string[]> {
  const answer = await engine.ask(question)
  const where = `${engine.name}, ${question.format}, ${table.schema}.${table.name}${question.at === undefined ? '' : ` at ${question.at}`}`
  return answerDifferences(engine, answer, table).map((difference) => `${where}: ${difference}`)
}

/** @returns what differs between an answer to `SELECT *` and a table of a server */
function answerDifferences(engine: Shown, answer: Answer, table: ServerTable): string[] {
  const differences = columnDifferences(engine, answer, table)
  if (differences.length > 0) return differences
  const expected = new Map<string, (readonly (string | null)[])[]>()
  for (const row of table.rows) expected.set(row[0]!, [...expected.get(row[0]!) ?? [], row])
  const read = new ReadTable(engine, answer, table)
  for (const row of answer.rows) {
    if (differences.length >= TOLD_MAX) break
    const ctid = read.ctid(row)
    const wanted = expected.get(ctid) ?? []
    const problems = wanted.map((candidate) => read.differences(row, candidate))
    const equal = problems.findIndex((found) => found.length === 0)
    const [matched] = wanted.splice(Math.max(equal, 0), 1)
    if (matched !== undefined) differences.push(...problems[Math.max(equal, 0)]!)
    else differences.push(`the row ${ctid} is not in the server's table, or is there twice: ${show(row)}`)
  }
  const lost = [...expected].flatMap(([ctid, rows]) => rows.map(() => ctid))
  if (differences.length < TOLD_MAX && lost.length > 0) differences.push(`${lost.length} rows of the server are missing: ${lost.slice(0, 20).join(' ')}`)
  return differences
}

/** User columns in the server's order under their names, then `_overflow` if there is one, then `_ltap`. */
function columnDifferences(engine: Shown, { columns }: Answer, table: ServerTable): string[] {
  const names = columns.map(({ name }) => name)
  const hasOverflow = names.at(-2) === '_overflow'
  const users = columns.slice(0, hasOverflow ? -2 : -1)
  if (names.at(-1) !== '_ltap' || users.length !== table.columns.length) {
    return [`the columns are ${names.join(', ')}; the server has ${table.columns.map(({ name }) => name).join(', ')}`]
  }
  return table.columns.flatMap(({ name, attnum, type }, i) => {
    const found = users[i]!
    if (found.name !== name && !found.name.startsWith(`${name}_${attnum}`)) return [`column ${i + 1} is ${found.name}; the server calls it ${name}`]
    const expected = engine.shows(publishedType(type, table.types))
    return isSameType(found.type, expected) ? [] : [`${name} has the type ${JSON.stringify(found.type)}, not ${JSON.stringify(expected)}`]
  })
}

/** Names of a struct's fields may have a suffix. */
function isSameType(found: unknown, expected: unknown): boolean {
  const plain = (type: unknown): string => JSON.stringify(type, (key, part: unknown) => (key === 'name' ? undefined : sorted(part)))
  return plain(found) === plain(expected)
}

function sorted(part: unknown): unknown {
  if (part === null || typeof part !== 'object' || Array.isArray(part)) return part
  return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Rows of an answer, and where in them things are. */
class ReadTable {
  private readonly engine: Shown
  private readonly answer: Answer
  private readonly table: ServerTable
  private readonly kinds: readonly ColumnType[]
  private readonly ltap: number
  private readonly places: readonly [block: number, offset: number]
  /** Of each user column, the place of its text in `_overflow`; -1 for none. */
  private readonly texts: readonly number[]

  constructor(engine: Shown, answer: Answer, table: ServerTable) {
    this.engine = engine
    this.answer = answer
    this.table = table
    this.kinds = table.columns.map(({ type }) => publishedType(type, table.types))
    this.ltap = answer.columns.length - 1
    this.places = [this.child(this.ltap, 'block'), this.child(this.ltap, 'offset')]
    this.texts = table.columns.map((_, i) => (answer.columns[this.ltap - 1]!.name === '_overflow' ? this.child(this.ltap - 1, answer.columns[i]!.name) : -1))
  }

  ctid(row: readonly Value[]): string {
    const [block, offset] = this.places.map((at) => String((row[this.ltap] as Value[])[at]))
    return `(${block},${offset})`
  }

  differences(row: readonly Value[], [ctid, ...fields]: readonly (string | null)[]): string[] {
    return fields.flatMap((field, i) => {
      const { name, type } = this.table.columns[i]!
      const kind = this.kinds[i]!
      const overflow = this.overflow(row, i)
      const text = field === null || overflow !== null ? null : Buffer.from(field, 'latin1').toString()
      const value = withNullsOf(asExpected(row[i]!, kind), kind, text, type, this.table.types, (shown) => this.engine.fillsNulls(shown))
      const problem = valueProblem({ value, overflow, kind }, field, type, this.table.types)
      return problem === undefined ? [] : [`${name} of the row ${ctid}: ${problem}`]
    })
  }

  private overflow(row: readonly Value[], i: number): string | null {
    const at = this.texts[i]!
    const text = at === -1 ? null : (row[this.ltap - 1] as Value[] | null)?.[at] ?? null
    return text === null ? null : (text as string).slice(1)
  }

  private child(column: number, name: string): number {
    const { type } = this.answer.columns[column]!
    return type.kind === 'struct' ? type.fields.findIndex((field) => field.name === name) : -1
  }
}

/** Bytes that an engine calls a string. */
function asExpected(value: Value, kind: ColumnType): Value {
  if (value === null) return null
  if (kind.kind === 'binary' && (value as string).startsWith('s')) return `b${Buffer.from((value as string).slice(1)).toString('latin1')}`
  if (kind.kind === 'list') return (value as Value[]).map((element) => asExpected(element, kind.element))
  if (kind.kind === 'struct') return (value as Value[]).map((field, i) => asExpected(field, kind.fields[i]!.type))
  return value
}

function show(row: readonly Value[]): string {
  return JSON.stringify(row, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part)).slice(0, 300)
}
