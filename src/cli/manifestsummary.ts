import { addLaneCounts, type LaneCounts, newLaneCounts } from '../columnar/lanes.ts'
import { BLOCK_SIZE } from '../common/rel.ts'
import { lakeRelationName } from '../jobs/lake.ts'
import type { LakeReport } from '../jobs/lakereport.ts'
import type { Manifest } from '../lake/manifest.ts'
import type { NotRead } from '../lake/notread.ts'
import { type NotShown, valuesNotShown } from '../lake/notshown.ts'

/** What a transcode wrote, as `ltap transcode --json` prints it. */
export interface ManifestSummary {
  lake: string
  source: string
  systemIdentifier: string
  major: number
  lsn: string
  /** Nothing of the cluster was left out. */
  complete: boolean
  databases: number
  relations: number
  files: number
  pages: number
  tuples: number
  rows: number
  hiddenRows: number
  heapBytes: number
  parquetBytes: number
  lanes: LaneCounts
  forensic: Pick<LakeReport['forensic'], 'dangling' | 'orphanFiles' | 'temporaryFiles' | 'trailingBytes'> & {
    /** Relations with bytes behind their last whole block. */
    partialBlocks: { relation: string; bytes: number }[]
  }
  /** The manifest's member of this name. */
  unknownTransactions: Manifest['unknownTransactions']
  damage: readonly string[]
  /** Generated columns that no file has. */
  virtualColumns: { relation: string; name: string; type: string; expression: string }[]
  /** Materialized views that were never filled. */
  notPopulated: string[]
  damagedPages: { relation: string; block: number; error: string }[]
  notRead: readonly NotRead[]
  /** Values that are in no column, by relation. */
  notShown: readonly NotShown[]
  seconds: number
}

export function summarizeManifest(manifest: Manifest, lake: string, seconds: number): ManifestSummary {
  const { source, systemIdentifier, major, lsn, orphans, temporaryFiles, notRead, unknownTransactions, damage = [] } = manifest
  const complete = manifest.complete && notRead.length === 0
  const stored = manifest.relations.filter(({ relkind }) => relkind !== 'p')
  const files = stored.flatMap((relation) => relation.files.map((file) => ({ relation: lakeRelationName(relation), ...file })))
  const lanes = newLaneCounts()
  for (const relation of stored) addLaneCounts(lanes, relation.lanes)
  const partialBlocks = stored.flatMap((relation) =>
    (relation.trailingBytes ? [{ relation: lakeRelationName(relation), bytes: relation.trailingBytes }] : []))
  const sum = (of: (file: (typeof files)[number]) => number): number => files.reduce((total, file) => total + of(file), 0)
  return {
    lake, source, systemIdentifier, major, lsn, complete, databases: new Set(stored.flatMap(({ database }) => database ?? [])).size,
    relations: stored.length, files: files.length, pages: lanes.pages, tuples: lanes.tuples, rows: sum(({ rows }) => rows),
    hiddenRows: sum(({ hidden }) => hidden?.rows ?? 0), heapBytes: lanes.pages * BLOCK_SIZE, parquetBytes: sum(({ bytes }) => bytes), lanes,
    forensic: {
      dangling: lanes.dangling, orphanFiles: orphans, temporaryFiles, trailingBytes: partialBlocks.reduce((total, { bytes }) => total + bytes, 0),
      partialBlocks,
    },
    unknownTransactions, damage,
    virtualColumns: manifest.relations.flatMap((relation) =>
      (relation.virtualColumns ?? []).map((column) => ({ relation: lakeRelationName(relation), ...column }))),
    notPopulated: stored.filter(({ populated }) => populated === false).map(lakeRelationName),
    damagedPages: files.flatMap(({ relation, damaged }) => damaged.map(({ block, error }) => ({ relation, block, error }))), notRead,
    notShown: valuesNotShown(stored), seconds,
  }
}
