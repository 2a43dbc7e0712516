/** Threads may be ended at any time, while they load their code too. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Piscina } from 'piscina'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { THREAD_OPTIONS } from '../../src/jobs/pool.ts'

let folder: string
let script: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-threads-'))
  script = join(folder, 'task.mjs')
  writeFileSync(script, "const loadedBy = new Error('').stack\nexport function stack() { return loadedBy }\n")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const REQUIRED = /loadESMFromCJS|importSyncForRequire|runSync/

async function loadedBy(options: ConstructorParameters<typeof Piscina>[0]): Promise<string> {
  const pool = new Piscina({ ...options, filename: script, maxThreads: 1 })
  try {
    return await pool.run({}, { name: 'stack' }) as string
  } finally {
    await pool.destroy()
  }
}

test('a task is imported: Node aborts the process when a thread ends while it requires one', async () => {
  expect(await loadedBy(THREAD_OPTIONS)).not.toMatch(REQUIRED)
})

test.runIf('require_module' in process.features)('without our options it is required', async () => {
  expect(await loadedBy({ minThreads: 0 })).toMatch(REQUIRED)
})
