import { noTableHint, tablesNamed } from '../../catalog/tablename.ts'
import type { Compression } from '../../columnar/planfile.ts'
import { EnvironmentError, UnsupportedError } from '../../common/errors.ts'
import type { StoreCounters } from '../../engine/objectstore.ts'
import type { Snapshot } from '../../engine/snapshot.ts'
import { rewriteState } from '../../engine/rewritestate.ts'
import { BranchWriter } from '../../engine/writer.ts'
import type { S3Options } from '../../io/objectstore/s3settings.ts'
import { MAIN_BRANCH } from '../../lake/state/names.ts'
import { parseStateRelation, type StateRelation } from '../../lake/staterelation.ts'
import type { OnProgress } from '../jobprogress.ts'
import { readManifest } from '../lake.ts'
import { openLake, openState } from '../lakes/openlake.ts'
import { JobTasks, type Pool } from '../pool.ts'
import { type Publication, publishAfter } from '../publish/publishnewest.ts'
import { codecModules } from '../tasks/codecs.ts'
import { lendStore } from '../tasks/storereference.ts'
import { MergeJob, type MergedRelations } from './mergejob.ts'

export interface MergeLakeOptions {
  /** A folder with a lake of layers, or the URL of one. */
  lake: string
  storeOptions?: S3Options
  /** Default main. */
  branch?: string
  /** `schema.name`, see catalog/tablename.ts; empty: all relations. */
  tables?: readonly string[]
  /** Merge whatever the size tiers say, until each relation has one layer. */
  all?: boolean
  workers?: number | Pool
  /** Compression of the files that are written; default zstd. */
  compression?: Compression
  /** Modules with codecs from outside, as of transcodeLake. */
  codecs?: readonly string[]
  onProgress?: OnProgress
  onNotice?: (text: string) => void
}

export interface MergeReport extends MergedRelations, Publication {
  url: string
  /** The LSN of the state, which stays what it is. */
  lsn: string
  /** Requests to the store, those of worker threads, too. */
  requests: StoreCounters['requests']
}

/**
 * Merges layers of the newest state of a branch into fewer. No row changes; earlier states keep their layers.
 * @throws EnvironmentError lake.*, selection.table; commit.fenced if another process opens the branch for writing, store.*
 */
export async function mergeLake(options: MergeLakeOptions): Promise<MergeReport> {
  const lake = await openLake(options.lake, options.storeOptions)
  if (lake === undefined) {
    readManifest(options.lake)
    throw new UnsupportedError('lake.format', 'a lake of format 1 has no layers: there is nothing to merge', { file: options.lake })
  }
  const { store } = lake.ports
  const { branch = MAIN_BRANCH } = options
  const wants = await selected(await openState(lake, 'newest', branch), options.tables ?? [])
  const writer = await BranchWriter.open(lake, branch)
  const pool = new JobTasks(options.workers)
  const { reference, end } = lendStore(store, options.storeOptions ?? {})
  const { all = false, compression = 'zstd', codecs = [], onProgress, onNotice } = options
  try {
    const job = new MergeJob({ lake, writer, pool, reference }, {
      all, compression, codecs: codecModules(codecs), ...(wants && { wants }), ...(onProgress && { onProgress }), ...(onNotice && { onNotice }),
    })
    const merged = await job.run()
    const published = await publishAfter(lake, writer, {}, wants === undefined ? { mergesLogs: all ? 'all' : 'tiers' } : {})
    // What was published before is in pages of the state no more: its bounds could be those of rows that are gone.
    if (all && wants === undefined && await rewriteState(lake, writer)) merged.commits++
    return { url: store.url, lsn: writer.head.state.lsn, ...merged, ...published, requests: store.counters.requests }
  } finally {
    end()
    await pool.close()
  }
}

/** @throws EnvironmentError selection.table */
async function selected(snapshot: Snapshot, tables: readonly string[]): Promise<((relation: StateRelation) => boolean) | undefined> {
  if (tables.length === 0) return undefined
  const names: { key: string; dbOid: number; toastRelId: number; oid: number; schema: string; name: string }[] = []
  await snapshot.scan('layers', (key, value) => {
    const { locator: { dbOid }, info: { toastRelId, oid, schema, name } } = parseStateRelation(key, value)
    names.push({ key, dbOid, toastRelId, oid, schema, name })
  })
  const wanted = new Set<string>()
  for (const text of tables) {
    const found = tablesNamed(names, text)
    if (found.length === 0) throw new EnvironmentError('selection.table', `the lake has no table ${text}: ${noTableHint(names, text)}`)
    for (const { dbOid, oid, toastRelId } of found) for (const own of [oid, toastRelId]) wanted.add(`${dbOid}/${own}`)
  }
  return ({ locator: { dbOid }, info: { oid } }) => wanted.has(`${dbOid}/${oid}`)
}
