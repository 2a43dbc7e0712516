import type { Command } from 'commander'
import { CorruptionError, EnvironmentError } from '../common/errors.ts'

/** Damage of a data directory, or of one of its files that every reader needs. */
const DAMAGED = /^(?:catalog|compression|control|datum|page|relation|relmap|toast|tuple|xact)\./
/** The codes of damage that verify and rebuild find in the data directory, not in the lake. */
const DAMAGED_FILES = /^(?:catalog|control|relation|relmap|xact)\./
const NEEDED_FILES = /(?:^|\/)(?:pg_control|pg_filenode\.map)$/
/** Tables of the user: others cannot be left out. */
const SYSTEM_TABLE = /(?:^|\.)(?:pg_catalog|global|pg_toast|information_schema)\./

/** What to do next about a data directory that is damaged, with this verb; undefined if the message says it itself, or it is something else. */
export function damageAdvice(verb: Command | undefined, error: unknown): string | undefined {
  if (verb?.name() === 'rebuild' && error instanceof EnvironmentError && error.code === 'lake.other-lsn') {
    return 'for an earlier state of the lake, without a copy: ltap restore --to <LSN>'
  }
  if (verb === undefined || !(error instanceof CorruptionError || error instanceof EnvironmentError)) return undefined
  const { code, message, position: { file = '', relation = '' } } = error
  const isCatalog = SYSTEM_TABLE.test(relation)
  const isFile = (code === 'file.missing' && NEEDED_FILES.test(file)) || DAMAGED_FILES.test(code) || (DAMAGED.test(code) && isCatalog)
  const isControl = code.startsWith('control.') || (code === 'file.missing' && file.endsWith('pg_control'))
  const isCarried = verb.opts()['onCorrupt'] === 'carry'
  if (isControl && !isCarried && /^(?:verify|rebuild)$/.test(verb.name())) return 'restore it from a backup, or go on without it: --on-corrupt carry'
  if (verb.name() === 'verify') {
    const carry = isCarried ? '' : ', or compare what is readable with --on-corrupt carry'
    return isFile ? `restore it from a backup${carry}; without a data directory verify checks the lake alone` : undefined
  }
  if (verb.name() === 'rebuild') return isFile ? 'rebuild needs a whole copy of the data directory: make it again, then rebuild into it' : undefined
  const options = verb.options.map(({ long }) => long)
  if (!options.includes('--on-corrupt')) return undefined
  if (isCarried && code === 'selection.table') return `if its rows in the catalogs are damaged, 'ltap inspect file' with --columns reads its file`
  if (!(isFile || DAMAGED.test(code)) || message.includes('--on-corrupt')) return undefined
  if (isCarried) return 'restore it from a backup: nothing can be read without it'
  if (message.includes('from a backup')) return 'or read what is there with --on-corrupt carry'
  const leaveOut = relation !== '' && !isCatalog && options.includes('--exclude') ? ', or leave the table out with --exclude' : ''
  return `restore it from a backup, or read what is there with --on-corrupt carry${leaveOut}`
}
