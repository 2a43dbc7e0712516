/** Once per run, before and after all test files: the folder of the templates of clusters (template.ts). */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-templates-'))
  // initdb runs as another user if we are root.
  chmodSync(folder, 0o755)
  process.env['LTAP_TEST_TEMPLATES'] = folder
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
