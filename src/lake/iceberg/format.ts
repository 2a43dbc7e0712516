import { faulty, type Persisted } from '../../common/validate.ts'
import type { PublishedWindow } from '../publishedentry.ts'
import type { RecordedTable, StagedTable, TableFormat } from '../tableformat.ts'
import { expireIceberg } from './expire.ts'
import { nextIceberg } from './iceberg.ts'
import type { FormatVersion } from './manifest.ts'
import { recordAt, withoutLost } from './lost.ts'
import { icebergCommit, icebergNames, versionHint } from './metadata.ts'
import { currentSnapshot, icebergObjects, type IcebergRecord, metadataKey, parseIcebergRecord } from './record.ts'

/** No table has so many snapshots. */
const VERSION_MAX = 2 ** 31

/** Iceberg as one of the formats of a lake. */
export function icebergFormat(
  { formatVersion, window, ltapVersion }: { formatVersion: FormatVersion; window: PublishedWindow; ltapVersion: string },
): TableFormat {
  const kept = { keepSnapshots: window.snapshots, keepMs: window.ms }
  const staged = (record: IcebergRecord, previous: IcebergRecord | undefined, objects: StagedTable['objects'] = []): StagedTable => {
    const [, second] = record.snapshots
    return { record, objects, refers: icebergObjects(record), ...(second && { expiresMs: second.ms + window.ms }), obsolete: obsoleteKeys(record, previous) }
  }
  return {
    async next(previous, table, names) {
      const before = previous as IcebergRecord | undefined
      const { record, objects } = await nextIceberg(before, table, names, { formatVersion, ltapVersion, ...kept })
      return staged(record, before, objects)
    },
    expire(record, nowMs) {
      const before = record as IcebergRecord
      return staged(expireIceberg(before, kept, nowMs) ?? before, before)
    },
    commit: (record) => ({ point: icebergCommit(record as IcebergRecord), hints: [versionHint(record as IcebergRecord)] }),
    parse: parseTableRecord,
    names: (found) => icebergNames(found as IcebergRecord),
    remake(found, _table, missing) {
      const record = found as IcebergRecord
      const known = record.snapshots[0]!.version
      const versions = Array.from({ length: record.version - known + 1 }, (_, i) => known + i)
      const objects = [...versions.map((version) => icebergCommit(recordAt(record, version))), versionHint(record)]
      return objects.filter(({ key }) => missing.has(key))
    },
    withoutLost: (found, missing) => withoutLost(found as IcebergRecord, missing),
    isOwn: (key) => /^metadata\/(?:v\d+\.metadata\.json|version-hint\.text)$/.test(key),
  }
}

/** The record of a table, which its entry names. @param at path of the record @throws CorruptionError of `persisted.code` with the member */
export function parseTableRecord(found: unknown, persisted: Persisted, at: string, table: RecordedTable): IcebergRecord {
  const record = parseIcebergRecord(found, persisted, at)
  if (record.uuid !== table.uuid) throw faulty(persisted, `${at}.uuid`, 'is that of another table')
  const { ms } = currentSnapshot(record)
  if (ms > table.publishedMs) throw faulty(persisted, `${at}.snapshots`, `ends at ${ms}, and the table was published at ${table.publishedMs}`)
  if (record.folder !== table.folder) throw faulty(persisted, `${at}.folder`, 'is that of another table')
  // Later snapshots are checked to have lower numbers.
  if (record.version > VERSION_MAX) throw faulty(persisted, `${at}.version`, `is above ${VERSION_MAX}`)
  return record
}

/** Metadata files none of whose snapshots is listed any more. */
function obsoleteKeys(record: IcebergRecord, previous: IcebergRecord | undefined): string[] {
  if (previous === undefined || previous.folder !== record.folder) return []
  const [from, to] = [previous.snapshots[0]!.version, record.snapshots[0]!.version]
  return Array.from({ length: Math.max(to - from, 0) }, (_, i) => metadataKey(previous, from + i))
}
