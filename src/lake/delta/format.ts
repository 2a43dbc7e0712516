import type { PublishedWindow } from '../publishedentry.ts'
import type { StagedTable, TableFormat } from '../tableformat.ts'
import { deltaCheckpoint } from './checkpoint.ts'
import { CHECKPOINT_EVERY, checkpointsOf, type KeptDelta, logNames, parseKeptDelta, withinWindow, withoutLost, withShortLog } from './kept.ts'
import { deltaCommit, nextDelta } from './log.ts'

/** Delta as one of the formats of a lake. */
export function deltaFormat({ window, ltapVersion }: { window: PublishedWindow; ltapVersion: string }): TableFormat {
  const staged = (found: KeptDelta, folder: string, nowMs: number, objects: StagedTable['objects'] = []): StagedTable => {
    const { record, obsolete } = withShortLog(withinWindow(found, window, nowMs), folder)
    const { left } = record
    return {
      record, objects, refers: [...record.objects, ...left.flatMap(({ keys }) => keys)],
      ...(left.length > 0 && { expiresMs: left[0]!.ms + window.ms }), obsolete,
    }
  }
  return {
    async next(previous, table, names) {
      const before = previous as KeptDelta | undefined
      const { record, objects } = await nextDelta(before?.newest, table, names, { ltapVersion, checkpointEvery: CHECKPOINT_EVERY })
      const shown = table.files.filter(({ hidden, rows }) => hidden.size < rows).map(({ key }) => key)
      const now = [...shown, ...record.objects]
      const there = new Set(now)
      // Of a log that begins again no earlier version is read.
      const gone = before && before.first <= before.newest.version ? before.objects.filter((key) => !there.has(key)) : undefined
      const left = [...before?.left ?? [], ...(gone ? [{ ms: table.publishedMs, keys: gone }] : [])]
      const log = before ? { first: before.first, checkpoints: checkpointsOf(before) } : { first: record.version, checkpoints: [] }
      return staged({ newest: record, objects: now, left, ...log }, table.folder, table.publishedMs, objects)
    },
    expire: (record, nowMs, { folder }) => staged(record as KeptDelta, folder, nowMs),
    async commit(record, table) {
      const { newest } = record as KeptDelta
      return { point: deltaCommit(newest, table), hints: await deltaCheckpoint(newest, table) }
    },
    names: (record, { folder }) => logNames(record as KeptDelta, folder),
    async remake(record, table, missing) {
      const { newest } = record as KeptDelta
      return [deltaCommit(newest, table), ...await deltaCheckpoint(newest, table)].filter(({ key }) => missing.has(key))
    },
    withoutLost: (record, missing) => withoutLost(record as KeptDelta, missing),
    parse: parseKeptDelta,
    isOwn: (key) => /^_delta_log\/(?:\d{20}\.(?:json|checkpoint\.parquet)|_last_checkpoint)$/.test(key),
  }
}
