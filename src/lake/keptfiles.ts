/*
 * Which entries of a data directory a lake keeps besides the main forks of heaps: what a server needs to boot on them, and what cannot be made
 * again (the folders are those of initdb.c; what is left out is what basebackup.c leaves out, and what belongs to the running server only).
 *
 *   kept                                                          not kept
 *   PG_VERSION, also per database                                 relation files but init forks, of temporary relations too
 *   global/pg_control, pg_filenode.map                            pg_internal.init, pgsql_tmp
 *   pg_xact, pg_multixact, pg_commit_ts                           pg_subtrans, pg_serial, pg_notify, pg_snapshots, pg_dynshmem
 *   pg_twophase, pg_logical/replorigin_checkpoint                 pg_replslot and what logical decoding keeps for slots
 *   <n>_init                                                      pg_stat, pg_stat_tmp
 *   pg_wal/<timeline>.history                                     pg_wal
 *   *.conf                                                        postmaster.pid, postmaster.opts, backup_label, tablespace_map, *.signal
 *   every folder of these, and the empty ones of initdb           every other file and folder, unless the configuration names it
 */

/** The folders that initdb makes (initdb.c), in the order in which they can be made. */
const INITDB_FOLDERS: readonly string[] = [
  'base', 'global', 'pg_commit_ts', 'pg_dynshmem', 'pg_logical', 'pg_logical/mappings', 'pg_logical/snapshots', 'pg_multixact', 'pg_multixact/members',
  'pg_multixact/offsets', 'pg_notify', 'pg_replslot', 'pg_serial', 'pg_snapshots', 'pg_stat', 'pg_stat_tmp', 'pg_subtrans', 'pg_tblspc', 'pg_twophase',
  'pg_wal', 'pg_wal/archive_status', 'pg_xact',
]
const SINCE_17: readonly string[] = ['pg_wal/summaries']

const DATABASE = /^base\/\d+$/
/** In a folder of relation files: global, or of one database in one tablespace. */
const DATABASE_FILE = /^(?:PG_VERSION|pg_filenode\.map|pg_control|\d+_init(?:\.\d+)?)$/
const SLRU_FILE = /^(?:pg_xact|pg_multixact\/offsets|pg_multixact\/members|pg_commit_ts)\/[0-9A-F]{4,6}$/
const TWOPHASE_FILE = /^pg_twophase\/(?:[0-9A-F]{8}){1,2}$/
const TIMELINE_HISTORY_FILE = /^pg_wal\/[0-9A-F]{8}\.history$/
/** In the data directory itself. */
const CONFIGURATION_FILE = /^[^/]+\.conf$/
const TABLESPACE = /^pg_tblspc\/\d+$/

/** The folders that every data directory of a major has, parents first. A server does not start without most of them. */
export function initdbFolders(major: number): readonly string[] {
  return major >= 17 ? [...INITDB_FOLDERS, ...SINCE_17] : INITDB_FOLDERS
}

/** A tablespace: a symbolic link, or with allow_in_place_tablespaces a folder. @param path relative to the data directory, segments joined by `/` */
export function isTablespace(path: string): boolean {
  return TABLESPACE.test(path)
}

/** Whether a lake keeps a folder. @param version PG_<major>_<catalog version> @param path as {@link isTablespace} */
export function isKeptFolder(path: string, version: string): boolean {
  return INITDB_FOLDERS.includes(path) || SINCE_17.includes(path) || isTablespace(path) || isDatabaseFolder(path, version) || isVersionFolder(path, version)
}

/** Whether a lake keeps a file, which is no link's. @param path and @param version as {@link isKeptFolder} */
export function isKeptFile(path: string, version: string): boolean {
  const cut = path.lastIndexOf('/')
  const folder = path.slice(0, Math.max(cut, 0))
  if (folder === 'global' || isDatabaseFolder(folder, version)) return DATABASE_FILE.test(path.slice(cut + 1))
  const others = path === 'PG_VERSION' || path === 'pg_logical/replorigin_checkpoint'
  return others || [SLRU_FILE, TWOPHASE_FILE, TIMELINE_HISTORY_FILE, CONFIGURATION_FILE].some((kept) => kept.test(path))
}

function isVersionFolder(path: string, version: string): boolean {
  return path.endsWith(`/${version}`) && isTablespace(path.slice(0, -version.length - 1))
}

function isDatabaseFolder(path: string, version: string): boolean {
  const cut = path.lastIndexOf('/')
  return DATABASE.test(path) || (cut > 0 && /^\d+$/.test(path.slice(cut + 1)) && isVersionFolder(path.slice(0, cut), version))
}
