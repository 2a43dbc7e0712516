import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { summarizeLake } from '../../jobs/inspect/lakesummary.ts'
import { filesOf } from '../../jobs/lakes/layerfiles.ts'
import { openLayeredLake, openState } from '../../jobs/lakes/openlake.ts'
import { StateManifest } from '../../jobs/lakes/statemanifest.ts'
import { materializeInto } from '../../jobs/materialize/materializeinto.ts'
import type { MaterializeReport } from '../../jobs/materialize/materializelake.ts'
import type { ObjectStore } from '../../engine/objectstore.ts'
import type { Workers } from '../../jobs/pool.ts'
import type { PostgresServer } from '../../server/postgres.ts'
import { queryLake } from '../../jobs/query/query.ts'
import { rebuildLake } from '../../jobs/rebuildlake.ts'
import { readObject } from '../../jobs/tasks/lakeobject.ts'
import { verifyLake } from '../../jobs/verifylake.ts'
import { assert } from '../../common/errors.ts'
import { isPacked, type LayerFile } from '../../lake/layer.ts'
import { thousands } from '../count.ts'
import { amcheck, ask, QUESTIONS, REVENUE_SQL, sameRows, shortAnswer } from './answers.ts'
import type { LakeFolder } from './lakefolder.ts'
import type { Narrator, StepTime } from './narrator.ts'
import type { DemoNeeds } from './needs.ts'
import { odditySteps, OVERFLOW_SQL } from './oddities.ts'
import { type LakeTuple, picturePage } from './pagepicture.ts'
import { Session, type TextRow } from './session.ts'
import { DATABASE, DELETED_ORDER, shopSteps } from './shop.ts'
import { type Size, sizesOf } from './summary.ts'
import type { Workspace } from './workspace.ts'

export interface Tour {
  needs: DemoNeeds
  workspace: Workspace
  folder: LakeFolder
  narrator: Narrator
  /** Order lines. */
  rows: number
  workers: Workers
}

export interface TourReport {
  /** Everything below is as it must be. */
  equal: boolean
  /** `PostgreSQL 17.10`. */
  server: string
  lake: string
  pages: number
  differing: number
  /** The pictured page formed back. */
  pageEqual: boolean
  /** DuckDB and the server agree. */
  revenueEqual: boolean
  deletedOrderFound: boolean
  answers: { question: string; before: string; after: string; equal: boolean }[]
  /** Heap files that were written from Parquet alone. */
  rebuiltFiles: number
  /** What Postgres's own checker found in them; null without one. */
  amcheckProblems: number | null
  sizes: Size[]
  times: StepTime[]
}

const DELETED_SQL = `SELECT id, status, total, placed_at, _ltap.xmin AS inserted_by, _ltap.xmax AS deleted_by
FROM ltap_public.orders WHERE id = ${DELETED_ORDER} AND NOT _visible`

type Queried = Pick<TourReport, 'revenueEqual' | 'deletedOrderFound'>
type Rebuilt = Pick<TourReport, 'answers' | 'rebuiltFiles' | 'amcheckProblems'>

/** The server's answers before it was stopped for the last time. */
interface Loaded {
  source: PostgresServer
  /** `PostgreSQL 18.1` */
  server: string
  answers: TextRow[][]
}

/** The demo from the first server to the last one. */
export async function runTour(tour: Tour): Promise<TourReport> {
  const { narrator, folder } = tour
  const loaded = await load(tour)
  const { dataDir } = loaded.source
  const written = await transcode(tour, dataDir)
  const verified = await verify(tour, dataDir)
  const pageEqual = await narrator.timed('show a page', () => showPage(tour, dataDir))
  const queries = await narrator.timed('query', () => runQueries(tour, loaded.answers))
  folder.finish()
  const rebuilt = await bootRebuilt(tour, loaded)
  const equal = verified.differing === 0 && pageEqual && queries.revenueEqual && queries.deletedOrderFound && !rebuilt.amcheckProblems &&
    rebuilt.answers.every((answer) => answer.equal)
  const about = { equal, server: loaded.server, lake: folder.path, sizes: sizesOf((await summarizeLake(folder.path)).tables, written), times: narrator.times }
  return { ...about, ...verified, pageEqual, ...queries, ...rebuilt }
}

async function load({ needs, workspace, narrator, rows }: Tour): Promise<Loaded> {
  const { major } = needs.postgres
  const { source, server } = await narrator.step('boot', `Postgres ${major} from npm boots`, async () => {
    const created = await workspace.create(major)
    await created.start()
    const session = await Session.open(needs.pg, created, 'postgres')
    await session.run(`CREATE DATABASE ${DATABASE}`)
    const version = await session.rows('SHOW server_version')
    await session.close()
    return { source: created, server: `PostgreSQL ${version[0]![0]!.split(' ')[0]}` }
  })
  await narrator.step('load', `it loads a shop with ${thousands(rows)} order lines, updates and deletes`, async (what) => {
    // A report that runs all day: while its snapshot is held, Postgres keeps the versions that were updated and deleted.
    const report = await Session.open(needs.pg, source, DATABASE)
    await report.run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1')
    const session = await Session.open(needs.pg, source, DATABASE)
    for (const step of [...shopSteps(rows), ...odditySteps(major)]) {
      await what(step.what)
      await session.run(step.sql)
    }
    await session.close()
  })
  const answers = await narrator.step('ask', `it answers ${QUESTIONS.length} questions; then it is stopped`, async () => {
    const session = await Session.open(needs.pg, source, DATABASE)
    const found = await ask(session)
    await session.close()
    await source.stop()
    return found
  })
  return { source, server, answers }
}

async function transcode({ narrator, folder, workers }: Tour, pgdata: string): Promise<MaterializeReport> {
  folder.release()
  return await narrator.pages('transcode', `every heap page becomes Parquet (${workers.count} workers)`, (onProgress) =>
    materializeInto({ pgdata, lake: folder.path, workers, onProgress }))
}

async function verify({ narrator, folder, workers }: Tour, pgdata: string): Promise<{ pages: number; differing: number }> {
  const report = await narrator.pages('verify', 'every page is formed from Parquet and compared', (onProgress) =>
    verifyLake({ lake: folder.path, pgdata, workers, onProgress }))
  const verdict = `${thousands(report.differing)} of ${thousands(report.pages)} pages differ`
  const { good, bad } = narrator.paint
  await narrator.say(`    ${report.differing === 0 ? good(verdict) : bad(verdict)}`)
  const first = report.differences.slice(0, 5)
  await narrator.say(...first.map(({ relation, block, reason }) => bad(`    ${relation} block ${block}: ${reason}`)))
  return { pages: report.pages, differing: report.differing }
}

/** The lake as it was written just now. */
async function readState(folder: LakeFolder): Promise<{ state: StateManifest; store: ObjectStore }> {
  const lake = await openLayeredLake(folder.path)
  return { state: await StateManifest.read(lake, await openState(lake)), store: lake.ports.store }
}

async function showPage({ narrator, folder }: Tour, pgdata: string): Promise<boolean> {
  const { state, store } = await readState(folder)
  const relation = state.manifest.relations.find(({ database, schema, name }) => `${database}.${schema}.${name}` === `${DATABASE}.public.orders`)
  const tuples = JSON.parse(await query(folder, 'json', `FROM ltap_public.orders WHERE id = ${DELETED_ORDER}`)) as LakeTuple[]
  const layers = relation && await state.relation(relation)
  if (!relation || !layers || tuples.length === 0) throw new Error(`ltap bug: order ${DELETED_ORDER} is not in the lake`)
  const files = filesOf(layers, state.manifest.systemIdentifier)
  const read = (file: LayerFile): Promise<Uint8Array> => {
    assert(!isPacked(file), 'tables of users are not packed by default')
    return readObject(store, file)
  }
  const picture = await picturePage({ pgdata, relation, files, read, tuple: tuples[0]! }, narrator.paint)
  const { bold } = narrator.paint
  const title = `One row of ${picture.relation}, block ${picture.block}, line pointer ${picture.offset}`
  await narrator.say('', bold(title), ...picture.lines.map((line) => `  ${line}`))
  return picture.equal
}

async function runQueries({ narrator, folder }: Tour, answers: readonly TextRow[][]): Promise<Queried> {
  const { bold, good, bad, dim } = narrator.paint
  const show = async (title: string, sql: string, shown = sql): Promise<void> => {
    const table = (await query(folder, 'table', sql)).trimEnd().split('\n')
    await narrator.say('', bold(title), ...shown.split('\n').map((line) => dim(`  ${line}`)), ...table.map((line) => `  ${line}`))
  }
  await show('Analytics, in DuckDB over the Parquet files', REVENUE_SQL)
  const duck = (JSON.parse(await query(folder, 'json', REVENUE_SQL)) as Record<string, string>[]).map((row) => Object.values(row))
  const revenueEqual = sameRows(duck, answers[QUESTIONS.findIndex(({ sql }) => sql === REVENUE_SQL)]!)
  await narrator.say(revenueEqual ? good('  the server said the same') : bad('  the server said something else'))
  await show('Values that no column type holds are in _overflow', OVERFLOW_SQL, OVERFLOW_SQL.split('\nUNION')[0]!.concat(' ...'))
  await show(`Order ${DELETED_ORDER} was deleted; its row is still in the heap, and in the lake`, DELETED_SQL)
  const visible = JSON.parse(await query(folder, 'json', `FROM orders WHERE id = ${DELETED_ORDER}`)) as unknown[]
  const dead = JSON.parse(await query(folder, 'json', DELETED_SQL)) as unknown[]
  return { revenueEqual, deletedOrderFound: visible.length === 0 && dead.length > 0 }
}

async function query(folder: LakeFolder, format: 'table' | 'json', sql: string): Promise<string> {
  let text = ''
  await queryLake({ lake: folder.path, database: DATABASE, sql, format }, async (piece) => {
    text += piece
  })
  return text
}

async function bootRebuilt({ needs, workspace, folder, narrator, workers }: Tour, { source, answers }: Loaded): Promise<Rebuilt> {
  await narrator.say('')
  const { dataDir, rebuiltFiles } = await narrator.step('copy', 'a copy of the data directory loses all its heap files', async () => {
    const copy = await workspace.copy(source)
    return { dataDir: copy, rebuiltFiles: removeHeapFiles(copy, (await readState(folder)).state) }
  })
  await narrator.pages('rebuild', `${thousands(rebuiltFiles)} heap files are written again, from Parquet alone`, (onProgress) =>
    rebuildLake({ lake: folder.path, pgdata: dataDir, force: false, workers, onProgress }))
  const after = await narrator.step('boot again', 'Postgres boots on them and is asked again', async () => {
    const server = await workspace.adopt(dataDir)
    await server.start()
    const session = await Session.open(needs.pg, server, DATABASE)
    const again = await ask(session)
    const problems = await amcheck(session)
    await session.close()
    await server.stop()
    return { again, problems }
  })
  const { good, bad } = narrator.paint
  const compared = QUESTIONS.map(({ what }, i) => ({
    question: what,
    before: shortAnswer(answers[i]!),
    after: shortAnswer(after.again[i]!),
    equal: sameRows(answers[i]!, after.again[i]!),
  }))
  for (const { question, before, after: now, equal } of compared) {
    await narrator.say(`    ${equal ? good('same') : bad(`now ${now}, before`)}  ${question}: ${before}`)
  }
  if (after.problems) {
    const verdict = `amcheck finds ${after.problems.length} problems in tables and indexes`
    await narrator.say(`    ${after.problems.length === 0 ? good(verdict) : bad(verdict)}`)
  }
  return { answers: compared, rebuiltFiles, amcheckProblems: after.problems?.length ?? null }
}

/** So that nothing of them can be taken for rebuilt. Returns how many there were. */
function removeHeapFiles(dataDir: string, { manifest: { relations } }: StateManifest): number {
  let files = 0
  for (const { path } of relations) {
    if (path === '') continue
    for (let segment = 0; ; segment++) {
      const file = join(dataDir, segment === 0 ? path : `${path}.${segment}`)
      if (!existsSync(file)) break
      rmSync(file)
      files++
    }
  }
  return files
}
