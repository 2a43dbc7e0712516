/** Once per run, before and after all test files: where temporary folders are, and the folder of the templates of clusters (template.ts). */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Linux's file system in memory. Half a million small files are made and removed in a quick run: a disk costs a quarter of all its CPU time. */
const MEMORY_FILES = '/dev/shm'
/** The quick tests have at most 3 GB of files at once. */
const FILES_MAX = 8 * 2 ** 30
const MEMORY_MIN = 12 * 2 ** 30

export function setup(): () => void {
  // Vitest calls it for each project of its configuration.
  if (process.env['LTAP_TEST_TEMPLATES'] !== undefined) return () => {}
  const own = hasRoomInMemory() ? mkdtempSync(join(MEMORY_FILES, 'ltap-test-')) : undefined
  if (own !== undefined) {
    // As /tmp is: servers run as another user if we are root.
    chmodSync(own, 0o1777)
    process.env['TMPDIR'] = own
  }
  console.info(`temporary folders are in ${tmpdir()}`)
  const folder = mkdtempSync(join(tmpdir(), 'ltap-templates-'))
  // initdb runs as another user if we are root.
  chmodSync(folder, 0o755)
  process.env['LTAP_TEST_TEMPLATES'] = folder
  return () => rmSync(own ?? folder, { recursive: true, force: true, maxRetries: 3 })
}

/** For the quick tests, where nobody chose another place; other scopes have files of gigabytes and are about what a disk does. */
function hasRoomInMemory(): boolean {
  if (process.env['LTAP_TEST_SCOPE'] !== 'quick' || process.env['TMPDIR'] !== undefined || !existsSync(MEMORY_FILES)) return false
  // Containers mount it so that no program runs from it: some tests run programs that they copied.
  const options = new RegExp(`^\\S+ ${MEMORY_FILES} \\S+ (\\S+)`, 'm').exec(readFileSync('/proc/mounts', 'utf8'))?.[1]?.split(',')
  if (options === undefined || options.includes('noexec')) return false
  const { bavail, bsize } = statfsSync(MEMORY_FILES)
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024
  return bavail * bsize >= FILES_MAX && available >= MEMORY_MIN
}
