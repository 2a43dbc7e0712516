/** The Delta log of a published table in a folder, as its lines have it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Action, FileAction } from './deltalog.ts'

function actionsOf(table: string, version: string): Action[] {
  return readFileSync(join(table, '_delta_log', version), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Action)
}

function versionsOf(table: string): string[] {
  return readdirSync(join(table, '_delta_log')).filter((name) => name.endsWith('.json')).sort()
}

/** Actions of the newest version. @param table its folder */
export function newestActions(table: string): Action[] {
  return actionsOf(table, versionsOf(table).at(-1)!)
}

/**
 * Rows by file of a table without deletion vectors, over what its log still has.
 * @param table its folder @param onRemove told of what removes a file, and whether the log still says who added that
 */
export function addedFiles(table: string, onRemove: (remove: FileAction, wasThere: boolean) => void = () => {}): Map<string, number> {
  const files = new Map<string, number>()
  for (const { add, remove } of versionsOf(table).flatMap((version) => actionsOf(table, version))) {
    if (remove) onRemove(remove, files.delete(remove.path))
    if (add) files.set(add.path, (JSON.parse(add.stats!) as { numRecords: number }).numRecords)
  }
  return files
}

/** How many rows these files have. */
export function rowsOf(files: ReadonlyMap<string, number>): number {
  return [...files.values()].reduce((sum, rows) => sum + rows, 0)
}
