import { byteText, utf8Encode } from '../../common/utf8.ts'
import { concatBytes } from '../../common/bytes.ts'
import type { OutsideFile } from '../../io/datadir/configuration.ts'
import type { RestoreTarget } from '../../io/datadir/restoretarget.ts'
import { parseSettings } from '../../lake/serversettings.ts'

const MAIN = 'postgresql.conf'
const AUTO = 'postgresql.auto.conf'
const HBA = 'pg_hba.conf'

/** Files that are written last: no server starts without a configuration, so none starts on a folder that is half restored. */
export const HELD_FILES: readonly string[] = ['global/pg_control', MAIN, AUTO]

export interface RestoredSettings {
  /** What was set, so that the new server takes nothing from the old one: `archive_mode = off`. */
  changed: readonly string[]
  /** Configuration files that the state did not have, made with the least that a server needs. */
  made: readonly string[]
  /** What the configuration names outside of the data directory: nobody restored it. */
  outside: readonly OutsideFile[]
}

/** The last word of a server's configuration, whatever it said before. */
const SWITCHED_OFF: readonly (readonly [name: string, value: string])[] = [
  ['archive_mode', 'off'], ['synchronous_standby_names', ''], ['primary_conninfo', ''],
]
const NOTE = '# Written by ltap restore: this server is a copy, and neither archives nor follows for the one that it is a copy of.\n'
const MINIMAL_MAIN = '# Written by ltap restore: the state had no postgresql.conf, its configuration was outside of the data directory.\n'
const MINIMAL_HBA = `${MINIMAL_MAIN.replace('postgresql.conf', HBA)}local all all peer\n`

/** @param held the configuration as found @returns the names of files that had to be made */
export function writeSettings(target: RestoreTarget, held: ReadonlyMap<string, Uint8Array>): Omit<RestoredSettings, 'outside'> {
  const changed = SWITCHED_OFF.map(([name, value]) => `${name} = '${value}'`)
  const made = [MAIN, HBA].filter((name) => !held.has(name) && !target.has(name))
  if (made.includes(HBA)) target.file(HBA, MINIMAL_HBA, true)
  target.file(AUTO, appended(held.get(AUTO), `${NOTE}${changed.join('\n')}\n`), true)
  // The server would go to the directory that this names, whatever its option -D says.
  const isElsewhere = parseSettings(byteText(held.get(MAIN) ?? new Uint8Array(0))).some(({ name }) => name === 'data_directory')
  const own = `data_directory = '${target.path.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  if (isElsewhere) changed.push(own)
  target.file(MAIN, appended(held.get(MAIN) ?? utf8Encode(MINIMAL_MAIN), isElsewhere ? `${NOTE}${own}\n` : ''), true)
  return { changed, made }
}

function appended(content: Uint8Array | undefined, text: string): Uint8Array {
  const before = content ?? new Uint8Array(0)
  const isEnded = before.length === 0 || before.at(-1) === 0x0a
  return concatBytes(before, utf8Encode(isEnded || text === '' ? text : `\n${text}`))
}
