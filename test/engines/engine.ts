/**
 * Foreign engines that read Iceberg and Delta tables: a Python process for each, which `npm run conformance:install` has installed, answers questions as
 * lines of JSON (python/ask.py).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ColumnType } from '../../src/vector/columntype.ts'
import type { Value } from '../columnar/lakevalues.ts'
import { type CanonicalColumn, readValues } from './canonical.ts'

const FOLDER = process.env['LTAP_CONFORMANCE'] ?? join(homedir(), '.cache/ltap')
const PYTHON = join(FOLDER, 'engines/bin/python')
const SPARK = { LTAP_SPARK: join(FOLDER, 'spark'), LTAP_SPARK_JARS: join(FOLDER, 'sparkjars') }

export type Format = 'iceberg' | 'delta' | 'parquet' | 'rest'

export interface Question {
  readonly format: Format
  /** Iceberg: the path of a metadata.json; Delta: that of the table's folder; Parquet: a path or a glob. Or an s3 URL. Format rest: the URL of a catalog. */
  readonly place: string
  /** Of a catalog. */
  readonly warehouse?: string
  readonly table?: readonly [namespace: string, name: string]
  readonly token?: string
  readonly planning?: 'client' | 'server'
  /** Id of an Iceberg snapshot, version of a Delta table; the newest one without it. Digits: JavaScript's numbers do not hold the ids. */
  readonly at?: string
  readonly columns?: readonly string[]
  /** A condition in SQL. */
  readonly where?: string
  /** A query over `t`; PyIceberg and pyarrow have none. */
  readonly sql?: string
  /** Another way of the same engine to read: of Polars `native`, of deltalake `pyarrow`. */
  readonly reader?: string
  readonly s3?: { endpoint: string, key: string, secret: string, region: string }
}

export interface Answer {
  readonly columns: readonly CanonicalColumn[]
  readonly rows: readonly (readonly Value[])[]
}

/** What an engine said instead of rows. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
}

interface EngineKind {
  readonly python: string
  readonly formats: readonly Format[]
  /** The type under which it shows a column. */
  readonly shows?: (type: ColumnType) => ColumnType
  /** Types whose values cannot be NULL there: it shows an empty one, or one of NULLs. */
  readonly fillsNulls?: (type: ColumnType) => boolean
  readonly needs?: () => string | undefined
}

const ENGINES = {
  pyiceberg: { python: PYTHON, formats: ['iceberg', 'rest'], fillsNulls: ({ kind, ...type }) => kind === 'list' && 'element' in type && type.element.kind === 'struct' },
  duckdb: { python: PYTHON, formats: ['iceberg', 'delta', 'parquet', 'rest'] },
  polars: { python: PYTHON, formats: ['iceberg', 'delta', 'parquet'] },
  deltalake: { python: PYTHON, formats: ['delta'] },
  pyarrow: { python: PYTHON, formats: ['parquet'] },
  spark: { python: PYTHON, formats: ['iceberg', 'delta', 'parquet', 'rest'], needs: noSpark },
  /** Makes tables for the self test. */
  write: { python: PYTHON, formats: [] },
  clickhouse: { python: join(FOLDER, 'chdb/bin/python'), formats: ['iceberg', 'delta', 'parquet'], shows: (type) => deep(type, asClickHouse), fillsNulls: ({ kind }) => kind === 'list' || kind === 'map' || kind === 'struct' },
} satisfies Record<string, EngineKind>

export type EngineName = keyof typeof ENGINES

/** Readers of Iceberg and Delta that answer in milliseconds, and those that take seconds or gigabytes: a sample has one of these. */
export const QUICK_ENGINES: readonly EngineName[] = ['pyiceberg', 'duckdb', 'polars', 'deltalake']
export const SLOW_ENGINES: readonly EngineName[] = ['spark', 'clickhouse']

/** Of the engines, those that are installed; of each other one a line that it is skipped. */
export function installed(names: readonly EngineName[]): EngineName[] {
  return names.filter((name) => {
    const why = missing(name)
    if (why !== undefined) console.info(`SKIPPED: ${name}: ${why}`)
    return why === undefined
  })
}

/** What an engine reads. */
export function formatsOf(name: EngineName): readonly Format[] {
  return ENGINES[name].formats
}

function missing(name: EngineName): string | undefined {
  const { python, needs }: EngineKind = ENGINES[name]
  return existsSync(python) ? needs?.() : `there is no ${python}: npm run conformance:install puts it there`
}

function noSpark(): string | undefined {
  const lost = Object.values(SPARK).find((path) => !existsSync(path))
  if (lost !== undefined) return `there is no ${lost}: npm run conformance:install puts it there`
  return spawnSync('java', ['-version']).status === 0 ? undefined : 'there is no java'
}

/** A running engine; its imports are paid once. */
export class Engine {
  readonly name: EngineName
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, { resolve: (line: string) => void, reject: (error: Error) => void }>()
  private asked = 0
  private said = ''

  constructor(name: EngineName) {
    this.name = name
    const script = join(import.meta.dirname, 'python/ask.py')
    this.child = spawn(ENGINES[name].python, ['-u', script, name], { env: { ...process.env, ...SPARK, POLARS_ICEBERG_PLANNER: 'pyiceberg', SPARK_LOCAL_IP: '127.0.0.1' } })
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => { this.said = (this.said + text).slice(-4000) })
    this.child.stdin!.on('error', () => {})
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.answered(line))
    this.child.on('close', (code, signal) => {
      for (const { reject } of this.waiting.values()) reject(new EngineError(`${name} ended with ${code ?? signal}: ${this.said}`))
      this.waiting.clear()
    })
  }

  shows(type: ColumnType): ColumnType {
    const { shows }: EngineKind = ENGINES[this.name]
    return shows === undefined ? type : shows(type)
  }

  /** Whether it may show something empty where a value of the type is NULL. */
  fillsNulls(type: ColumnType): boolean {
    const { fillsNulls }: EngineKind = ENGINES[this.name]
    return fillsNulls?.(type) ?? false
  }

  /** @throws EngineError with the engine's own words */
  async ask(question: Question): Promise<Answer> {
    const { columns, values } = await this.send(question)
    const read = columns.map(({ type }, i) => readValues(type, values[i]!))
    return { columns, rows: Array.from({ length: read[0]?.length ?? 0 }, (_, row) => read.map((column) => column[row]!)) }
  }

  /** Sends it any question, and gives what it says. */
  async send(question: object): Promise<{ columns: CanonicalColumn[], values: unknown[][] }> {
    const id = this.asked++
    if (this.child.exitCode !== null || this.child.signalCode !== null) throw new EngineError(`${this.name} has ended: ${this.said}`)
    const line = await new Promise<string>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.child.stdin!.write(`${JSON.stringify({ id, ...question })}\n`)
    })
    const { error, ...answer } = JSON.parse(line) as { error?: string, columns: CanonicalColumn[], values: unknown[][] }
    if (error !== undefined) throw new EngineError(error)
    return answer
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = new Promise((resolve) => this.child.once('close', resolve))
    this.child.stdin!.end()
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(timer)
  }

  private answered(line: string): void {
    const { id } = JSON.parse(line) as { id: number }
    this.waiting.get(id)?.resolve(line)
    this.waiting.delete(id)
  }
}

/** Changes a type and its parts, the innermost first. */
function deep(type: ColumnType, change: (type: ColumnType) => ColumnType): ColumnType {
  switch (type.kind) {
    case 'list':
      return change({ ...type, element: deep(type.element, change) })
    case 'map':
      return change({ ...type, value: deep(type.value, change) })
    case 'struct':
      return change({ ...type, fields: type.fields.map((field) => ({ ...field, type: deep(field.type, change) })) })
    default:
      return change(type)
  }
}

/** A String of ClickHouse is any bytes; its timestamps are all of a time zone. */
function asClickHouse(type: ColumnType): ColumnType {
  if (type.kind === 'timestamp') return { ...type, utc: true }
  return type.kind === 'binary' ? { kind: 'string' } : type
}
