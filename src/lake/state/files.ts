import * as v from 'valibot'
import { count, type Schema, unsigned32 } from '../../common/validate.ts'
import { type EntryKey, parseEntry } from './entries.ts'
import { objectKey } from './page.ts'

/** A small file of the cluster: pg_control, relation maps, configuration, … as it was found. */
export interface ClusterFile {
  readonly key: string
  readonly bytes: number
  /** CRC-32C. */
  readonly crc: number
}

const FILE: Schema<ClusterFile> = v.strictObject({ key: objectKey, bytes: count, crc: unsigned32 })

/** @param path relative to the data directory, any bytes of it beyond plain ones as %XX */
export function fileKey(path: string): EntryKey {
  return { tree: 'files', key: encodeURIComponent(path).replaceAll('%2F', '/') }
}

/** @throws CorruptionError lake.state with the member */
export function parseFile(value: unknown, entry: EntryKey): ClusterFile {
  return parseEntry(FILE, value, entry)
}
