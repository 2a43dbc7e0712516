import { CorruptionError } from '../common/errors.ts'
import type { Oid } from '../common/ids.ts'

/**
 * tablespace_map: lines `<oid> <path>`, with a backslash before a newline, a return or a backslash in a path (do_pg_backup_start, xlog.c; in 14
 * do_pg_start_backup).
 */
export function parseTablespaceMap(text: string): Map<Oid, string> {
  const found = new Map<Oid, string>()
  const line = /((?:\\[^]|[^\\\r\n])*)(?:\r?\n|$)/y
  while (line.lastIndex < text.length) {
    const start = line.lastIndex
    const entry = /^(\d+) ([^]+)$/.exec(line.exec(text)?.[1] ?? '')
    const oid = Number(entry?.[1])
    if (entry === null || oid > 0xffffffff || entry[2]!.includes('\0')) {
      throw new CorruptionError('backup.tablespace-map', 'tablespace_map: a line is not an oid and a path', { byte: start })
    }
    found.set(oid, entry[2]!.replaceAll(/\\([^])/g, '$1'))
  }
  return found
}
