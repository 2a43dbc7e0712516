import * as v from 'valibot'
import { count, faulty, type Schema, validate } from '../../common/validate.ts'
import type { PublishedWindow } from '../publishedentry.ts'
import type { TableSnapshot } from '../publishedtable.ts'
import { objectKey } from '../state/page.ts'
import type { StagedTable, TableFormat } from '../tableformat.ts'
import { deltaCheckpoint } from './checkpoint.ts'
import { deltaCommit, logKey, nextDelta, versionText } from './log.ts'
import { type DeltaRecord, parseDeltaRecord } from './record.ts'

/** A reader that goes back in time needs objects that the newest version no longer has. */
interface KeptDelta {
  readonly newest: DeltaRecord
  /** All objects of the newest version: data files, too. */
  readonly objects: readonly string[]
  /** What earlier versions had, with when they were replaced, in milliseconds since 1970; oldest first. */
  readonly left: readonly { readonly ms: number; readonly keys: readonly string[] }[]
  /** The first version whose file of the log is there. */
  readonly first: number
}

const KEPT: Schema<Omit<KeptDelta, 'newest'> & { newest: unknown }> = v.strictObject({
  newest: v.unknown(), objects: v.array(objectKey), left: v.array(v.strictObject({ ms: count, keys: v.array(objectKey) })), first: count,
})

/** No table has so many versions. */
const VERSION_MAX = 2 ** 31
/** Versions between two checkpoints: a reader gets so many files at most. */
const CHECKPOINT_EVERY = 20

/** Delta as one of the formats of a lake. */
export function deltaFormat({ window, ltapVersion }: { window: PublishedWindow; ltapVersion: string }): TableFormat {
  /** Versions beside the newest one whose objects stay. */
  const inWindow = (left: KeptDelta['left'], nowMs: number): KeptDelta['left'] => (
    window.snapshots <= 1 ? [] : left.slice(-(window.snapshots - 1)).filter(({ ms }) => ms > nowMs - window.ms))
  const staged = (record: KeptDelta, objects: StagedTable['objects'] = []): StagedTable => ({
    record, objects, refers: [...record.objects, ...record.left.flatMap(({ keys }) => keys)],
    ...(record.left.length > 0 && { expiresMs: record.left[0]!.ms + window.ms }), obsolete: [],
  })
  /** Where no version but the newest one stays, a checkpoint of it takes the place of all files of earlier ones. */
  const shortened = (record: KeptDelta, { folder }: Pick<TableSnapshot, 'folder'>, objects: StagedTable['objects'] = []): StagedTable => {
    const { newest, left, first } = record
    if (left.length > 0 || newest.version === first) return staged(record, objects)
    const versions = Array.from({ length: newest.version - first }, (_, i) => versionText(first + i))
    const obsolete = versions.flatMap((text) => [logKey(folder, `${text}.json`), logKey(folder, `${text}.checkpoint.parquet`)])
    return { ...staged({ ...record, newest: { ...newest, checkpoint: true }, first: newest.version }, objects), obsolete }
  }
  return {
    async next(previous, table, names) {
      const before = previous as KeptDelta | undefined
      const { record, objects } = await nextDelta(before?.newest, table, names, { ltapVersion, checkpointEvery: CHECKPOINT_EVERY })
      const shown = table.files.filter(({ hidden, rows }) => hidden.size < rows).map(({ key }) => key)
      const now = [...shown, ...record.objects]
      const there = new Set(now)
      const gone = before?.objects.filter((key) => !there.has(key))
      const left = [...before?.left ?? [], ...(gone ? [{ ms: table.publishedMs, keys: gone }] : [])]
      return shortened({ newest: record, objects: now, left: inWindow(left, table.publishedMs), first: before?.first ?? record.version }, table, objects)
    },
    expire(record, nowMs, table) {
      const before = record as KeptDelta
      return shortened({ ...before, left: inWindow(before.left, nowMs) }, table)
    },
    async commit(record, table) {
      const { newest } = record as KeptDelta
      return { point: deltaCommit(newest, table), hints: await deltaCheckpoint(newest, table) }
    },
    parse(record, persisted, at, { uuid }) {
      const { newest: found, ...kept } = validate(KEPT, record, persisted, at)
      const newest = parseDeltaRecord(found, persisted, `${at}.newest`)
      if (newest.metaData.id !== uuid) throw faulty(persisted, `${at}.newest.metaData.id`, 'is that of another table')
      if (newest.version > VERSION_MAX) throw faulty(persisted, `${at}.newest.version`, `is above ${VERSION_MAX}`)
      if (kept.first > newest.version) throw faulty(persisted, `${at}.first`, `is ${kept.first}, above the version`)
      return { newest, ...kept }
    },
    isOwn: (key) => /^_delta_log\/(?:\d{20}\.(?:json|checkpoint\.parquet)|_last_checkpoint)$/.test(key),
  }
}
