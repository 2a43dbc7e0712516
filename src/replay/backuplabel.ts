import { CorruptionError, UnsupportedError } from '../common/errors.ts'
import { parseLsn, type WalPosition, walPosition } from '../common/ids.ts'

/*
 * backup_label (build_backup_content, xlogbackup.c; in 14 and 15 xlog.c), text lines:
 *
 *   START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
 *   CHECKPOINT LOCATION: 0/2000060
 *   BACKUP METHOD: streamed
 *   BACKUP FROM: primary
 *   START TIME: 2026-11-21 14:32:03 UTC
 *   LABEL: pg_basebackup base backup
 *   START TIMELINE: 1
 *   INCREMENTAL FROM LSN: 0/2000028        (17+, incremental backups only)
 */
export interface BackupLabel {
  /** Where redo begins. */
  start: WalPosition
  /** Where the checkpoint's record begins: the backup's own pg_control may name a later one. */
  checkpoint: WalPosition
  timeline: number
  method: string
  from: 'primary' | 'standby'
  label: string
}

/** @throws CorruptionError backup.label, UnsupportedError backup.incremental, lsn.range */
export function parseBackupLabel(text: string): BackupLabel {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = /^([A-Z ]+): (.*?)\r?$/.exec(line)
    if (match) fields.set(match[1]!, match[2]!)
  }
  // Files of an incremental backup hold only changed blocks, in a format of their own (INCREMENTAL.<name>).
  if (fields.has('INCREMENTAL FROM LSN')) {
    throw new UnsupportedError('backup.incremental', 'an incremental backup; combine it with the ones before it (pg_combinebackup)')
  }
  const from = fields.get('BACKUP FROM')
  if (from !== 'primary' && from !== 'standby') throw damaged('BACKUP FROM', from)
  // Since 11 the label names the timeline; before, only the name of the first segment has it, in hexadecimal.
  const timeline = fields.get('START TIMELINE') ?? /\(file ([0-9A-F]{8})[0-9A-F]{16}\)/.exec(fields.get('START WAL LOCATION') ?? '')?.[1]
  const timelineNumber = fields.has('START TIMELINE') ? decimal(timeline) : Number.parseInt(timeline ?? '', 16)
  if (!Number.isInteger(timelineNumber) || timelineNumber < 1 || timelineNumber > 0xffffffff) throw damaged('START TIMELINE', timeline)
  return {
    start: position(fields, 'START WAL LOCATION'), checkpoint: position(fields, 'CHECKPOINT LOCATION'), timeline: timelineNumber,
    method: fields.get('BACKUP METHOD') ?? '', from, label: fields.get('LABEL') ?? '',
  }
}

function decimal(text = ''): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
}

function position(fields: Map<string, string>, name: string): WalPosition {
  const text = fields.get(name)
  const lsn = parseLsn(text?.split(' ')[0] ?? '')
  if (lsn === undefined || lsn === 0n) throw damaged(name, text)
  return walPosition(lsn)
}

function damaged(name: string, found: string | undefined): CorruptionError {
  return new CorruptionError('backup.label', `backup_label: ${name} is ${found === undefined ? 'missing' : `'${found.slice(0, 60)}'`}`)
}
